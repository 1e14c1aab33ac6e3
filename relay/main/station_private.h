/*
 * station_private - the running relay, between the files that are called station.
 */
#ifndef WAYPOST_STATION_PRIVATE_H
#define WAYPOST_STATION_PRIVATE_H

#include "relay/main/station.h"

#include "queue/queue.h"
#include "relay/admin/admin.h"
#include "relay/main/crew.h"
#include "relay/main/doorstep.h"
#include "relay/main/entrance.h"
#include "relay/main/explainer.h"
#include "relay/main/prober.h"
#include "relay/main/herald.h"
#include "relay/main/importer.h"
#include "relay/main/postern.h"
#include "relay/main/reloader.h"
#include "relay/main/roomwatch.h"
#include "relay/main/sandbox.h"
#include "relay/main/strongbox.h"
#include "relay/main/timetable.h"
#include "relay/main/windows.h"
#include "relay/net/census.h"
#include "relay/net/clockwatch.h"
#include "relay/net/log.h"
#include "relay/net/notify.h"

struct station {
    struct settings *settings;
    struct reloader *reloader;
    uv_loop_t loop;
    uv_async_t wake;              /* a worker has ended */
    uv_signal_t term, interrupt, hangup;
    uv_signal_t reopen, dump;     /* SIGUSR1, SIGUSR2 */
    uv_timer_t watchdog, look, minute;
    uv_check_t turn;
    struct pulse pulse;
    struct strongbox strongbox;
    struct doorstep doorstep;
    struct sandbox sandbox;
    struct windows *windows;      /* what the queue routes by */
    struct queue *queue;
    struct roomwatch room;
    struct clockwatch clock;
    struct admin *admin;
    struct census *census;
    struct gauge *gauge;          /* of the main loop */
    struct entrance *entrance;
    struct postern *postern;
    struct importer *importer;
    struct notify notify;
    struct crew crew;
    struct timetable *timetable;
    struct explainer *explainer;
    struct herald *herald;
    struct prober *prober;
    uint64_t started_ns;          /* uv_hrtime */
    const char *config;           /* the file; NULL: the built-in one */
    bool wants_reload;            /* SIGHUP, once or often: at the end of this turn */
    bool is_ending, is_over;
};

/*
 * From what the process was when it was started to what it is to be: keys are read and low
 * ports opened, the account is changed, the log is opened, and what is not needed is shut
 * off. Before there is a second thread. On failure one line or more in out_why.
 */
MUST int station_enclose(struct station *st, const struct sources *sources,
                         struct buffer *out_why);
/* The reloader's answer: the settings are swapped, or why not is logged. */
bool station_reread(void *user, enum reload_kind kind,
                    struct settings *take_s, const struct sources *sources);
/* A timer's: were certificates or keys renewed on disk, is there room on it, and was the
 * clock set? */
void station_look(uv_timer_t *timer);
/* A timer's, at the beginning of each minute: a window may open or close. */
void station_minute(uv_timer_t *timer);
/* The socket, where the settings name one, and who may come in by HTTP. */
MUST int station_admin_open(struct station *st, struct buffer *out_why);
/* Who may come in by HTTP, as the settings say. */
MUST int station_allow(struct station *st, const struct settings *s,
                       struct buffer *out_why);
/* Each line is an event. */
void station_log_lines(enum log_event event, struct buffer *lines);

#endif

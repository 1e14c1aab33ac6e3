/*
 * notice - the part of a report that a person reads.
 *
 * One row of advice for each status that tells people something to do; the
 * first that matches is given. RFC 3463 for the numbers.
 */
#include "relay/outbound/notice.h"

#include "policy/vocabulary/id.h"
#include "relay/net/date.h"

enum { ANY = 0xffff };

static const struct advice {
    unsigned short subject, detail;
    const char *text;
} advices[] = {
    /* clang-format off */
    { 1, 2, "There is no mail domain of this name. Please check what stands behind "
            "the @ for mistakes." },
    { 1, 10, "This domain takes no mail at all." },
    { 1, ANY, "There seems to be no such mailbox. Please check the address for "
              "mistakes." },
    { 2, 2, "The mailbox is full. Its owner can only be told by other means." },
    { 2, ANY, "The mailbox takes no mail at present." },
    { 3, 4, "The message is too large for the other side. Please send it in smaller "
            "parts, or share the files in another way." },
    { 4, 6, "The message went round in a circle. The postmaster of this domain has "
            "to mend that." },
    { 4, 7, "It was tried again and again, without success, for as long as this "
            "system tries. You may send it once more later." },
    { 4, ANY, "The other side could not be reached. You may send the message once "
              "more later." },
    { 6, 7, "The address or the message needs international e-mail (SMTPUTF8), "
            "which the other side does not have." },
    { 6, ANY, "The other side cannot take a message of this kind." },
    { 7, ANY, "The other side does not want this message. Its words above may tell "
              "why; if not, ask its postmaster in another way." },
    { ANY, ANY, "If the words above do not help, ask your postmaster, and show this "
                "report." },
    /* clang-format on */
};

static const char *find_advice(struct status s)
{
    const struct advice *a = advices;

    while ((a->subject != ANY && a->subject != s.subject) ||
           (a->detail != ANY && a->detail != s.detail))
        a++;
    return a->text;
}

static void put_paragraph(struct buffer *b, const char *text)
{
    mimetext_fold(b, span_of(text), 0, "");
    buffer_put_string(b, "\r\n\r\n");
}

/* Words on lines of their own, four spaces in. */
static void put_indented(struct buffer *b, enum mimetext_charset charset,
                         struct span words)
{
    struct buffer clean = { 0 };

    mimetext_clean(&clean, charset, words);
    buffer_put_string(b, "    ");
    mimetext_fold(b, buffer_span(&clean), 4, "    ");
    buffer_put_string(b, "\r\n");
    buffer_fini(&clean);
}

static const char *const openings[] = {
    [REPORT_FAILED] =
        "Your message could not be delivered to what is listed here, and will "
        "not be tried again. It is enclosed at the end, or its headers are.",
    [REPORT_DELAYED] =
        "Your message has not reached what is listed here yet. You need not do "
        "anything: it is kept safely and will be tried again.",
    [REPORT_SUCCESS] =
        "Your message reached what is listed here, as you asked to be told.",
    [REPORT_DOUBLE] =
        "A message without a sender (from <>), such as a delivery report, "
        "could "
        "not be delivered to what is listed here. Nobody else is told; it is "
        "enclosed at the end, or its headers are. This comes to you as the "
        "postmaster; you need not answer.",
};

static void put_recipient(struct buffer *b, enum mimetext_charset charset,
                          enum report_kind kind,
                          const struct report_recipient *one)
{
    struct buffer said = { 0 };

    buffer_put_byte(b, '<');
    mimetext_clean(b, charset, one->address);
    buffer_put_string(b, ">:\r\n");
    if (one->is_remote && one->host.len) {
        buffer_put_string(&said, "the host ");
        buffer_put(&said, one->host);
        buffer_put_string(&said, " said:");
        put_indented(b, charset, buffer_span(&said));
    }
    put_indented(b, charset, one->reply.len ? one->reply : SPAN("no reply"));
    if (one->action == REPORT_ACTION_RELAYED)
        put_indented(b, charset,
                     SPAN("It was handed to a system that sends no reports "
                          "of success; this is the last one."));
    if (one->action == REPORT_ACTION_DELAYED && one->until_ms) {
        buffer_clear(&said);
        buffer_put_string(&said, "It will be tried until ");
        date_print(&said, one->until_ms);
        buffer_put_byte(&said, '.');
        put_indented(b, charset, buffer_span(&said));
    }
    if (one->action == REPORT_ACTION_FAILED && kind == REPORT_FAILED) {
        buffer_put_string(b, "\r\n");
        put_indented(b, charset,
                     span_of(find_advice(one->is_returned ? STATUS(5, 0, 0)
                                                          : one->status)));
    }
    buffer_put_string(b, "\r\n");
    buffer_fini(&said);
}

void notice_put(struct buffer *b, enum mimetext_charset charset,
                const struct report *r)
{
    buffer_put_string(b, "This is the mail system at ");
    mimetext_clean(b, charset, r->hostname);
    buffer_put_string(b, ".\r\n\r\n");
    put_paragraph(b, openings[r->kind]);
    for (size_t i = 0; i < r->count; i++)
        put_recipient(b, charset, r->kind, &r->recipients[i]);
    buffer_put_string(b, "The message came in on ");
    date_print(b, r->envelope->received_ms);
    buffer_printf(b, " as\r\n%s.\r\n", id_print(r->about).at);
}

/*
 * Any bytes as a configuration: either settings without faults, or none and at
 * least one fault, each on a line of its own that says where. What was read is
 * asked once, so that a half-understood rule or route would show.
 */
#include "policy/judge.h"
#include "policy/route.h"
#include "policy/settings.h"
#include "policy/vocabulary/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { READS_MOST = 5 };

struct input {
    struct span text;
    unsigned reads;
};

/* Every file is this one, a few times; then there are no more. */
static int read_input(void *user, const char *path, struct buffer *out)
{
    struct input *input = user;

    (void)path;
    if (input->reads++ >= READS_MOST)
        return ERROR_GONE;
    buffer_put(out, input->text);
    return 0;
}

static void ask(const struct settings *s)
{
    struct address sender = { 0 }, recipient;
    struct facts facts = { .helo = SPAN("a.test"),
                           .sender = &sender,
                           .recipient = &recipient };
    struct buffer key = { 0 };
    struct arena arena = { 0 };
    struct verdict v;

    ASSERT(address_parse(SPAN("v@ok.test"), &recipient) == ADDRESS_OK);
    v = judge(s, &facts, &arena, NULL);
    ASSERT(v.kind == VERDICT_RELAY || v.kind == VERDICT_DISCARD ||
           v.reply.code >= 400);
    verdict_text(&key, v.reply.text, &facts, v.rule);
    ASSERT(span_find(buffer_span(&key), '\n') == key.len);
    buffer_clear(&key);
    ASSERT(lane_key(s, SPAN(""), &recipient, &key) == 0);
    (void)route_of_lane(s, buffer_span(&key));
    arena_reset(&arena);
    buffer_fini(&key);
}

static void check_lines(struct span faults)
{
    ASSERT(faults.len && faults.at[faults.len - 1] == '\n');
    while (faults.len) {
        struct span line = span_split(faults, '\n', &faults);

        ASSERT(span_find(line, ':') < line.len);
        ASSERT(span_find(line, '\r') == line.len);
        ASSERT(span_find(line, '\0') == line.len);
        ASSERT(utf8_is_valid(line));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = { .text = { (const char *)data, size } };
    struct settings_source source = { .path = "w.conf",
                                      .machine_name = "mx.test",
                                      .state_folder = "/state",
                                      .read_file = read_input,
                                      .user = &input };
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_read(&source, &faults, &warnings);

    if (s) {
        ASSERT(faults.len == 0);
        ask(s);
    } else {
        check_lines(buffer_span(&faults));
    }
    settings_release(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return 0;
}

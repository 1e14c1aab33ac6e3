/*
 * test_variants - one draft, the rules' effects, and the messages it becomes.
 */
#include "fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "relay/inbound/headeredit.h"
#include "relay/inbound/variants.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Rules r0, r1 ... of effects, and removals that are understood. */
static const char configuration[] =
    "hostname = \"mx.ok.test\"\n"
    "queue { path = \"/nonexistent/queue.db\" }\n"
    "listener \"edge\" { address = \"127.0.0.1:2525\" }\n"
    "rule \"r0\" { action = remove-header"
    " remove-header = {\"X-Spam\", 'Subject: /^win/', 'Subject: "
    "/caf\xc3\xa9/'} }\n"
    "rule \"r1\" { action = tag set-tag = {\"x\"} }\n"
    "rule \"r2\" { action = tag set-tag = {\"x\"} }\n"
    "rule \"r3\" { client = {\"10.0.0.0/8\"} action = relay }\n"
    "route \"*\" { via = {\"mx\"} }\n"
    "route \"big\" { to = {\"big.test\"} via = {\"smtp://big.test\"} }\n";

static struct settings *settings;

/* --- headers ---------------------------------------------------------------- */

#define TRACE "Received: by us\r\n"

static void assert_edited(const struct effect *effects, size_t count,
                          const char *section, bool has_body,
                          const char *expected)
{
    const struct effect *edits[8];
    struct buffer out = { 0 };

    assert_true(count <= COUNT(edits));
    for (size_t i = 0; i < count; i++)
        edits[i] = &effects[i];
    headeredit_write(SPAN(TRACE), span_of(section), has_body, edits, count,
                     &out);
    assert_string_equal(buffer_string(&out), expected);
    buffer_fini(&out);
}

static struct effect adds(const char *text)
{
    return (struct effect){ .kind = EFFECT_ADD_HEADER,
                            .rule = &settings->rules[1],
                            .text = span_of(text) };
}

static struct effect removes(size_t which)
{
    return (struct effect){ .kind = EFFECT_REMOVE_HEADER,
                            .rule = &settings->rules[0],
                            .text = settings->rules[0].texts[which] };
}

static void fields_are_added_below_our_trace_and_above_all_others(void **state)
{
    const struct effect two[] = { adds("X-One: 1"), adds("X-Two:2") };

    (void)state;
    assert_edited(two, 2, "Received: by them\r\nA: b\r\n\r\n", true,
                  TRACE "X-One: 1\r\nX-Two:2\r\nReceived: by them\r\nA: "
                        "b\r\n\r\n");
    assert_edited(two, 0, "A: b\r\n\r\n", true, TRACE "A: b\r\n\r\n");
    /* a section without its end gets one where something is put in front */
    assert_edited(two, 1, "", true, TRACE "X-One: 1\r\n\r\n");
    assert_edited(two, 1, "A: b\r\n", false, TRACE "X-One: 1\r\nA: b\r\n");
    assert_edited(two, 0, "", true, TRACE);
}

static void what_is_no_field_is_not_added(void **state)
{
    static const char *const texts[] = { "",         ":",      ": x",
                                         "no colon", "a b: c", "\xc3\xa9: x" };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        const struct effect one = adds(texts[i]);

        assert_edited(&one, 1, "A: b\r\n\r\n", false, TRACE "A: b\r\n\r\n");
    }
}

static void no_line_end_comes_in_by_a_text(void **state)
{
    const struct effect one = {
        .kind = EFFECT_ADD_HEADER,
        .rule = &settings->rules[1],
        .text = SPAN("X: a\r\nBcc: x@y\0z\n\n"),
    };

    (void)state;
    assert_edited(&one, 1, "\r\n", true, TRACE "X: a  Bcc: x@y z\r\n\r\n");
}

static void long_values_are_folded_at_their_spaces(void **state)
{
    char text[3000] = "X-Long:", *at = text + strlen(text);
    struct effect one;
    struct buffer out = { 0 }, flat = { 0 };
    const struct effect *edits[] = { &one };
    size_t line = 0;

    (void)state;
    for (int i = 0; i < 200; i++)
        at += sprintf(at, " word%d", i);
    one = adds(text);
    headeredit_write(SPAN(""), SPAN(""), false, edits, 1, &out);
    for (size_t i = 0; i < out.len; i++) {
        line = out.at[i] == '\n' ? 0 : line + 1;
        assert_true(line <= 79);
        if (out.at[i] != '\r' && out.at[i] != '\n')
            buffer_put_byte(&flat, out.at[i]);
        if (out.at[i] == '\n' && i + 1 < out.len)
            assert_int_equal(out.at[i + 1], ' ');
    }
    assert_string_equal(buffer_string(&flat), text);
    /* one long word cannot but be cut */
    memset(text, 'w', sizeof text - 1);
    memcpy(text, "X: ", 3);
    text[sizeof text - 1] = '\0';
    one = adds(text);
    buffer_clear(&out);
    headeredit_write(SPAN(""), SPAN(""), false, edits, 1, &out);
    for (size_t i = 0; i < out.len; i++) {
        line = out.at[i] == '\n' ? 0 : line + 1;
        assert_true(line <= 999);
    }
    assert_int_equal(out.len, sizeof text - 1 + 3 * 3 + 2);
    buffer_fini(&out);
    buffer_fini(&flat);
}

static void fields_are_removed_by_name_or_by_what_they_say(void **state)
{
    const struct effect by_name[] = { removes(0) }, by_value[] = { removes(1) },
                        encoded[] = { removes(2) },
                        both[] = { removes(0), adds("X-Spam: no") };

    (void)state;
    assert_edited(by_name, 1,
                  "A: b\r\nx-SPAM:\r\n  folded\r\nX-Spammer: y\r\n"
                  "X-Spam : old\r\n\r\n",
                  true, TRACE "A: b\r\nX-Spammer: y\r\n\r\n");
    assert_edited(by_value, 1,
                  "Subject: WIN\r\n a prize\r\nSubject: a win\r\n\r\n", true,
                  TRACE "Subject: a win\r\n\r\n");
    assert_edited(encoded, 1,
                  "Subject: =?utf-8?q?Caf=C3=A9?=\r\nSubject: cafe\r\n\r\n",
                  true, TRACE "Subject: cafe\r\n\r\n");
    /* what rules added is not taken by rules */
    assert_edited(both, 2, "X-Spam: yes\r\n\r\n", true,
                  TRACE "X-Spam: no\r\n\r\n");
}

/* --- variants ------------------------------------------------------------------ */

struct play {
    struct draft draft;
    struct draft_recipient recipients[1200];
    struct effect effects[1200][4];
    struct arena arena;
};

static struct play *play_new(void)
{
    struct play *p = NEW(struct play);

    p->draft.id = 7;
    p->draft.envelope.sender = SPAN("a@from.test");
    p->draft.recipients = p->recipients;
    return p;
}

static void play_free(struct play *p)
{
    arena_reset(&p->arena);
    free(p);
}

static struct draft_recipient *play_add(struct play *p, const char *address)
{
    struct draft_recipient *r = &p->recipients[p->draft.count];

    assert_int_equal(
        address_parse(arena_copy(&p->arena, span_of(address)), &r->address),
        ADDRESS_OK);
    r->verdict = (struct verdict){ .kind = VERDICT_RELAY,
                                   .effects = p->effects[p->draft.count++] };
    return r;
}

static void play_effect(struct draft_recipient *r, enum effect_kind kind,
                        size_t rule, const char *text)
{
    struct effect *e =
        (struct effect *)&r->verdict.effects[r->verdict.effect_count++];

    *e = (struct effect){ .kind = kind,
                          .rule = &settings->rules[rule],
                          .text = span_of(text) };
}

/* "sender: address[/notify] ... | ..." */
static void assert_variants(struct play *p, const char *expected)
{
    struct variants v = { 0 };
    struct buffer text = { 0 };

    assert_true(variants_are_needed(&p->draft));
    assert_true(variants_find(&p->draft, settings, &p->arena, &v));
    for (size_t i = 0; i < v.count; i++) {
        buffer_printf(&text, "%s%.*s:", i ? " | " : "",
                      SPAN_FMT(v.all[i].sender));
        for (size_t n = 0; n < v.all[i].count; n++) {
            const struct addressee *a = &v.all[i].all[n];

            buffer_printf(&text, " %.*s", SPAN_FMT(a->destiny.address.text));
            if (a->orcpt.len)
                buffer_printf(&text, "<%.*s>", SPAN_FMT(a->orcpt));
            if (a->notify)
                buffer_printf(&text, "/%u", a->notify);
            if (a->hold)
                buffer_put_string(&text, "(hold)");
        }
    }
    assert_string_equal(buffer_string(&text), expected);
    assert_true(v.count == 0 || v.all[0].id == p->draft.id);
    buffer_fini(&text);
}

static void a_draft_that_no_rule_changes_needs_none(void **state)
{
    struct play *p = play_new();

    (void)state;
    play_effect(play_add(p, "b@x"), EFFECT_TAG, 1, "x");
    play_effect(play_add(p, "c@x"), EFFECT_HOLD, 1, "");
    assert_false(variants_are_needed(&p->draft));
    assert_false(variants_may_edit(&p->draft));
    play_free(p);
}

static void recipients_of_equal_edits_share_a_message(void **state)
{
    struct play *p = play_new();

    (void)state;
    play_effect(play_add(p, "b@x"), EFFECT_ADD_HEADER, 1, "X: 1");
    (void)play_add(p, "c@x");
    play_effect(play_add(p, "d@x"), EFFECT_ADD_HEADER, 1, "X: 1");
    play_effect(play_add(p, "e@x"), EFFECT_ADD_HEADER, 1, "X: 2");
    assert_true(variants_may_edit(&p->draft));
    assert_variants(p, "a@from.test: b@x d@x | a@from.test: c@x | "
                       "a@from.test: e@x");
    play_free(p);
}

static void senders_part_messages(void **state)
{
    struct play *p = play_new();

    (void)state;
    (void)play_add(p, "b@x");
    play_effect(play_add(p, "c@x"), EFFECT_REWRITE_FROM, 1, "s@ours");
    play_effect(play_add(p, "d@x"), EFFECT_REWRITE_FROM, 2, "s@ours");
    assert_variants(p, "a@from.test: b@x | s@ours: c@x d@x");
    play_free(p);
}

static void who_is_rewritten_stays_known_as_the_original(void **state)
{
    struct play *p = play_new();
    struct draft_recipient *r;

    (void)state;
    r = play_add(p, "list@x");
    r->notify = NOTIFY_SUCCESS;
    play_effect(r, EFFECT_REWRITE_TO, 1, "one@y");
    play_effect(r, EFFECT_REWRITE_TO, 1, "two@y");
    r = play_add(p, "said@x");
    r->orcpt = SPAN("rfc822;first@z");
    play_effect(r, EFFECT_REWRITE_TO, 1, "three@y");
    play_effect(play_add(p, "j\xc3\xb6@x"), EFFECT_REWRITE_TO, 1, "four@y");
    assert_variants(p, "a@from.test: one@y<rfc822;list@x>/2 "
                       "two@y<rfc822;list@x>/2 three@y<rfc822;first@z> "
                       "four@y<utf-8;j\xc3\xb6@x>");
    play_free(p);
}

static void an_address_gets_each_message_once(void **state)
{
    struct play *p = play_new();
    struct draft_recipient *r;

    (void)state;
    (void)play_add(p, "b@x");
    play_effect(play_add(p, "alias@x"), EFFECT_REWRITE_TO, 1, "b@X");
    r = play_add(p, "other@x");
    play_effect(r, EFFECT_REWRITE_TO, 1, "b@x");
    play_effect(r, EFFECT_ADD_HEADER, 1, "X: 1");
    /* local parts have case */
    play_effect(play_add(p, "more@x"), EFFECT_REWRITE_TO, 1, "B@x");
    assert_variants(p, "a@from.test: b@x B@x<rfc822;more@x> | "
                       "a@from.test: b@x<rfc822;other@x>");
    play_free(p);
}

static void a_copy_is_made_once_and_nobody_is_told(void **state)
{
    struct play *p = play_new();
    struct draft_recipient *r;

    (void)state;
    r = play_add(p, "b@x");
    r->hold = true;
    play_effect(r, EFFECT_COPY, 1, "archive@z");
    play_effect(r, EFFECT_COPY, 1, "c@x");
    r = play_add(p, "c@x");
    play_effect(r, EFFECT_COPY, 1, "archive@z");
    play_effect(r, EFFECT_ADD_HEADER, 1, "X: 1");
    /* discarded, and yet there is a copy */
    r = play_add(p, "d@x");
    r->discard = true;
    play_effect(r, EFFECT_COPY, 1, "spam@z");
    play_effect(r, EFFECT_REWRITE_FROM, 1, "s@ours");
    assert_variants(p, "a@from.test: b@x(hold) archive@z/1 | a@from.test: c@x "
                       "| s@ours: spam@z/1");
    play_free(p);
}

static void a_draft_of_discarded_ones_is_no_message(void **state)
{
    struct play *p = play_new();
    struct draft_recipient *r = play_add(p, "b@x");

    (void)state;
    r->discard = true;
    play_effect(r, EFFECT_ADD_HEADER, 1, "X: 1");
    assert_variants(p, "");
    play_free(p);
}

static void a_route_that_is_named_is_taken(void **state)
{
    struct play *p = play_new();
    struct variants v;
    struct buffer lane = { 0 };

    (void)state;
    play_effect(play_add(p, "b@x"), EFFECT_ROUTE, 1, "big");
    assert_true(variants_find(&p->draft, settings, &p->arena, &v));
    assert_int_equal(v.count, 1);
    assert_int_equal(destinies_lane(settings, v.all[0].sender,
                                    &v.all[0].all[0].destiny, &lane),
                     0);
    assert_string_equal(buffer_string(&lane), "x\tbig");
    buffer_fini(&lane);
    play_free(p);
}

static void edits_of_both_stages_stand_in_the_order_of_the_rules(void **state)
{
    struct play *p = play_new();
    struct effect later[] = { adds("X-1: later"), adds("X-3: later") };
    struct verdict at_content = {
        .kind = VERDICT_OPEN,
        .effects = later,
        .effect_count = 2,
    };
    struct draft_recipient *r = play_add(p, "b@x");
    struct variants v;
    struct buffer out = { 0 };

    (void)state;
    later[1].rule = &settings->rules[3];
    play_effect(r, EFFECT_ADD_HEADER, 2, "X-2: granted");
    r->at_content = &at_content;
    buffer_put_string(&p->draft.head, TRACE "A: b\r\n\r\n");
    p->draft.trace_bytes = sizeof TRACE - 1;
    assert_true(variants_find(&p->draft, settings, &p->arena, &v));
    variants_write_head(&p->draft, &v.all[0], &out);
    assert_string_equal(buffer_string(&out),
                        TRACE "X-1: later\r\nX-2: granted\r\nX-3: later\r\n"
                              "A: b\r\n\r\n");
    buffer_fini(&out);
    buffer_fini(&p->draft.head);
    play_free(p);
}

static void who_would_be_one_message_too_many_is_put_off(void **state)
{
    struct play *p = play_new();
    struct draft *d = &p->draft;
    struct draft_recipient *r;
    char text[40];

    (void)state;
    for (int i = 0; i < VARIANTS_MOST; i++) {
        (void)snprintf(text, sizeof text, "r%d@x", i);
        r = play_add(p, text);
        play_effect(r, EFFECT_ADD_HEADER, 1,
                    arena_string(&p->arena, span_of(text)));
        assert_true(variants_admit(d, &r->address, &r->verdict, &p->arena));
    }
    /* again, the same as another, none at all: no more messages */
    assert_true(variants_admit(d, &r->address, &r->verdict, &p->arena));
    assert_true(variants_admit(d, &p->recipients[0].address,
                               &p->recipients[5].verdict, &p->arena));
    r = play_add(p, "plain@x");
    assert_true(variants_admit(d, &r->address, &r->verdict, &p->arena));
    play_effect(r, EFFECT_REWRITE_FROM, 1, "new@x");
    assert_false(variants_admit(d, &r->address, &r->verdict, &p->arena));
    play_free(p);
}

static void addresses_and_memory_are_bounded(void **state)
{
    struct play *p = play_new();
    struct variants v;
    char text[40];
    char(*names)[16] = memory_zero(30000, sizeof *names);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof text, "r%d@x", i);
        play_effect(play_add(p, text), EFFECT_ADD_HEADER, 1,
                    arena_string(&p->arena, span_of(text)));
    }
    assert_true(variants_find(&p->draft, settings, &p->arena, &v));
    assert_int_equal(v.count, 1000);
    /* content that is in memory would be there a thousand times */
    p->draft.content.len = 50000;
    assert_false(variants_find(&p->draft, settings, &p->arena, &v));
    p->draft.content.len = 30000;
    assert_true(variants_find(&p->draft, settings, &p->arena, &v));
    /* what is on its way to the disk is there once */
    p->draft.content.len = 50000;
    p->draft.taken_bytes = 1 << 20;
    assert_true(variants_find(&p->draft, settings, &p->arena, &v));
    for (int n = 0; n < 21; n++)
        for (int i = 0; i < 1000; i++)
            (void)snprintf(names[n * 1000 + i], sizeof *names, "%d-%d@y", n, i);
    for (size_t n = 0; n < 21; n++) {
        struct effect *all = arena_take(&p->arena, 1000 * sizeof *all);

        for (size_t i = 0; i < 1000; i++)
            all[i] = (struct effect){ .kind = EFFECT_REWRITE_TO,
                                      .rule = &settings->rules[1],
                                      .text = span_of(names[n * 1000 + i]) };
        p->recipients[n].verdict.effects = all;
        p->recipients[n].verdict.effect_count = 1000;
    }
    p->draft.count = 20;
    assert_true(variants_find(&p->draft, settings, &p->arena, &v));
    assert_int_equal(v.all[0].count, 20000);
    p->draft.count = 21;
    assert_false(variants_find(&p->draft, settings, &p->arena, &v));
    free(names);
    play_free(p);
}

static int begin(void **state)
{
    (void)state;
    settings = fake_settings(configuration);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    settings_release(settings);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_added_below_our_trace_and_above_all_others),
        cmocka_unit_test(what_is_no_field_is_not_added),
        cmocka_unit_test(no_line_end_comes_in_by_a_text),
        cmocka_unit_test(long_values_are_folded_at_their_spaces),
        cmocka_unit_test(fields_are_removed_by_name_or_by_what_they_say),
        cmocka_unit_test(a_draft_that_no_rule_changes_needs_none),
        cmocka_unit_test(recipients_of_equal_edits_share_a_message),
        cmocka_unit_test(senders_part_messages),
        cmocka_unit_test(who_is_rewritten_stays_known_as_the_original),
        cmocka_unit_test(an_address_gets_each_message_once),
        cmocka_unit_test(a_copy_is_made_once_and_nobody_is_told),
        cmocka_unit_test(a_draft_of_discarded_ones_is_no_message),
        cmocka_unit_test(a_route_that_is_named_is_taken),
        cmocka_unit_test(edits_of_both_stages_stand_in_the_order_of_the_rules),
        cmocka_unit_test(who_would_be_one_message_too_many_is_put_off),
        cmocka_unit_test(addresses_and_memory_are_bounded),
    };

    return cmocka_run_group_tests(tests, begin, finish);
}

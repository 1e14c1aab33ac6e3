/*
 * condition_message - header fields and attachments: what a condition asks of the message.
 *
 * Where only a part of the message was kept, what is not found in it is not known.
 */
#include "policy/condition_private.h"

#include "policy/table.h"

enum answer header_test_matches(const struct header_test *h, struct span value)
{
    enum answer answer = ANSWER_NO;
    struct subject s;

    if (!h->has_value)
        return ANSWER_YES;
    if (h->values.count) {
        subject_of_name(&s, value);
        answer = patterns_match(&h->values, &s);
    }
    if (answer != ANSWER_YES && h->table) {
        enum answer one = table_has_text(h->table, value, NULL);

        if (one != ANSWER_NO)
            answer = one;
    }
    return answer;
}

static enum answer ask_header(const struct header_test *h,
                              const struct digest *d)
{
    enum answer answer = ANSWER_NO;
    struct span value;

    for (size_t n = 0; (value = digest_field(d, h->name, n)).at; n++) {
        enum answer one = header_test_matches(h, value);

        if (one == ANSWER_YES)
            return one;
        if (one == ANSWER_UNKNOWN)
            answer = one;
    }
    return digest_is_cut(d) ? ANSWER_UNKNOWN : answer;
}

enum answer condition_headers(const struct condition *c, const struct digest *d)
{
    enum answer answer = ANSWER_NO;

    for (size_t i = 0; answer != ANSWER_YES && i < c->header_count; i++) {
        enum answer one = ask_header(&c->headers[i], d);

        if (one != ANSWER_NO)
            answer = one;
    }
    return answer;
}

static enum answer attachment_matches(const struct condition *c,
                                      const struct attachment *a)
{
    struct subject name;
    enum answer answer, one;

    if (names_have(&c->names, a->name) || names_have(&c->types, a->type))
        return ANSWER_YES;
    subject_of_name(&name, a->name);
    answer = a->name.len ? patterns_match(&c->patterns, &name) : ANSWER_NO;
    if (answer == ANSWER_YES)
        return answer;
    one = condition_tables_have(c, a->name);
    if (one == ANSWER_NO)
        one = condition_tables_have(c, a->type);
    return one == ANSWER_NO ? answer : one;
}

enum answer condition_attachments(const struct condition *c,
                                  const struct digest *d)
{
    const struct attachment *a;
    enum answer answer = digest_has_more(d) ? ANSWER_UNKNOWN : ANSWER_NO;

    for (size_t n = 0; (a = digest_attachment(d, n)); n++) {
        enum answer one = attachment_matches(c, a);

        if (one == ANSWER_YES)
            return one;
        if (one == ANSWER_UNKNOWN)
            answer = one;
    }
    return answer;
}

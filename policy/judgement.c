/*
 * judgement - one judgement while it is made.
 *
 * Its lists grow in the arena by doubling, and take nothing from it while they are empty.
 * Owns nothing.
 */
#include "policy/judgement.h"

void rule_list_add(struct rule_list *l, struct arena *a, const struct rule *r)
{
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 8;
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers they are */
        const struct rule **all = arena_take(a, room * sizeof *all);

        for (size_t i = 0; i < l->count; i++)
            all[i] = l->all[i];
        l->all = all;
        l->room = room;
    }
    l->all[l->count++] = r;
}

struct effect *judgement_effect(struct judgement *j, enum effect_kind kind,
                                const struct rule *r, struct span text)
{
    struct effect *e;

    if (j->effect_count == j->effect_room) {
        size_t room = j->effect_room ? j->effect_room * 2 : 8;
        struct effect *all = arena_take(j->q.arena, room * sizeof *all);

        if (j->effect_count)
            memcpy(all, j->effects, j->effect_count * sizeof *all);
        j->effects = all;
        j->effect_room = room;
    }
    e = &j->effects[j->effect_count++];
    *e = (struct effect){ .kind = kind, .rule = r, .text = text };
    return e;
}

enum act judgement_decide(struct judgement *j, enum verdict_kind kind,
                          const struct rule *r, const struct reply *reply)
{
    j->verdict.kind = kind;
    j->verdict.rule = r;
    j->verdict.reply = reply ? *reply : (struct reply){ 0 };
    return ACT_DECIDES;
}

struct span judgement_keep(struct judgement *j, struct span text)
{
    return arena_copy(j->q.arena, text);
}

bool judgement_is_early(const struct judgement *j)
{
    return j->q.facts->stage != STAGE_RECIPIENT &&
           j->q.facts->stage != STAGE_CONTENT;
}

void judgement_init(struct judgement *j, const struct settings *s,
                    const struct facts *facts, struct arena *arena,
                    const struct judge_watch *watch)
{
    question_init(&j->q, s, facts, arena);
    j->verdict = (struct verdict){ 0 };
    j->watch = watch;
    j->effects = NULL;
    j->effect_count = j->effect_room = 0;
    j->set_aside = j->at_end = (struct rule_list){ 0 };
    j->is_ours = j->is_pending = j->is_open = false;
    j->useful = 0;
    j->if_permit = j->if_reject = (struct reply){ 0 };
    j->if_permit_rule = j->if_reject_rule = NULL;
}

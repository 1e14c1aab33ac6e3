/*
 * needs - what needs somebody now: each trouble with its last words and the button that helps.
 *
 * Nothing to do is said in one calm line; a relay that has not had mail yet says how to send
 * some. Rows are brought up to date in place, so that a button does not move away.
 */
import { troubles } from "/alarms.js";
import { command, dress, h, keyed, nameOf, say, setMoment, shape } from "/dom.js";
import { deed, holdAll, resume, retry, suspend } from "/orders.js";
import { count, milliseconds, parts, plural, size } from "/text.js";
import { onLook } from "/watch.js";

const BEHIND_A_LITTLE = 500;

const deeds = { retry: ["Retry", retry], resume: ["Resume", resume], hold: ["Hold", holdAll],
                suspend: ["Suspend", suspend] };

function make(t) {
    const who = t.name ? parts(t.name).host : t.text;
    const text = t.name
        ? h("p", null, h("strong", { title: t.name }, nameOf(t.name)[0]), " ",
            h("span", { class: "why" }))
        : h("p", { class: "why" });

    return h("li", { class: t.name ? "need" : "need short" }, shape(t.mark),
        h("div", null, text, h("p", { class: "last" })),
        h("p", { class: "row", role: "group", "aria-label": "What helps: " + who },
            (t.acts ?? []).map((a) => deed(deeds[a][0], () => deeds[a][1](t.name),
                { name: `${deeds[a][0]} ${t.name}` })),
            h("a", { class: "button", href: t.name ? "#/why/" + encodeURIComponent(t.name)
                : t.href, "aria-label": t.name ? "Why is it stuck? " + t.name
                : (t.look ?? "More") + ": " + t.text }, t.name ? "Why?" : t.look ?? "More")));
}

function update(row, t) {
    const why = row.querySelector(".why"), last = row.querySelector(".last");

    if (!t.name) {
        say(why, t.text);
        return;
    }
    if (!why.firstChild)
        why.append(h("span"), h("time"));
    say(why.firstChild, `${t.title}, ${count(t.waiting)} wait` +
        (t.due ? t.mark === "stopped" ? "; goes on " : "; next attempt " : ""));
    setMoment(why.lastChild, t.due, "");
    say(last, t.mark === "stopped" ? t.words : `“${t.words}”`);
    dress(last, { title: t.words });
}

/* How it stands, when all is well too. */
function standing({ status, system }) {
    const q = status.queue ?? {}, disk = system?.disk ?? {};
    const first = (system?.certificates ?? []).toSorted((a, b) => a.days - b.days)[0];
    const behind = system?.history_behind ?? q.history_behind ?? 0;

    return [
        ["latest commit", milliseconds((system?.commit_us_last ?? q.commit_us_last) / 1000)],
        ["disk free", size(disk.free_bytes ?? q.disk_free_bytes)],
        ["write-ahead log", size(system?.wal_bytes ?? q.wal_bytes)],
        ["certificate", !first ? "none is set" : first.days < 0 ? "expired"
            : plural(first.days, "day") + " left"],
        ["history", behind > BEHIND_A_LITTLE ? count(behind) + " behind" : "up to date"],
    ];
}

/* Of a relay that has seen nothing: what to do first. */
export function firstMail({ system }) {
    const door = system?.listeners?.[0]?.address ?? "localhost:25";

    return [
        h("p", null, "No mail has come since the start. To see the way of a first message, " +
            "send one:"),
        command("swaks", "--server", door.replace("[::]", "localhost")
            .replace(/^0\.0\.0\.0/, "localhost"), "--from", "you@example.org", "--to",
            "somebody@example.org"),
        command("waypost", "explain", "--client", "127.0.0.1", "--from", "you@example.org",
            "--to", "somebody@example.org"),
        h("p", { class: "dim" }, "The second says beforehand which rule would decide about " +
            "it, and where it would go."),
    ];
}

export function hasSeenMail({ status }) {
    const q = status.queue ?? {};

    return Boolean(status.verdicts?.length || q.puts || q.settles || q.messages_ready ||
        q.messages_deferred || q.messages_held);
}

/* What a view shows where there is nothing: what it would show, and how to begin. */
export function nothingYet(text) {
    const more = h("div", { class: "first" });
    let was = false;
    const box = h("div", { class: "first" }, h("p", { class: "dim" }, text), more);
    const end = onLook((seen) => {
        if (was && !box.isConnected)
            end();
        if (!seen.status)
            return;
        was = true;
        if (hasSeenMail(seen) === Boolean(more.firstChild))
            more.replaceChildren(...(hasSeenMail(seen) ? [] : firstMail(seen)));
    });

    return box;
}

/* Fills the place; answers how to end it. */
export function needs(place) {
    const title = h("h3"), list = h("ul", { class: "needs" });
    const first = h("div", { class: "first" }), facts = h("dl", { class: "facts strip" });
    let isNew = false;

    place.append(title, first, list, facts);
    return onLook((seen) => {
        if (!seen.status)
            return;
        const all = troubles(seen), calm = !all.length;

        if (title.dataset.n !== String(all.length)) {
            title.dataset.n = all.length;
            title.replaceChildren(...(calm ? [shape("good"), "Nothing needs you"]
                : ["What needs you now"]));
        }
        keyed(list, all, (t) => `${t.mark} ${t.key}`, make, update);
        list.hidden = calm;
        if (isNew !== !hasSeenMail(seen)) {
            isNew = !isNew;
            first.replaceChildren(...(isNew ? firstMail(seen) : []));
        }
        keyed(facts, standing(seen), ([k]) => k,
            ([k]) => h("div", null, h("dt", null, k), h("dd")),
            (e, [, v]) => say(e.lastChild, v));
    });
}

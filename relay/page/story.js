/*
 * story - one message from its arrival to its end; and how it is found.
 *
 *   a word -> an id? its story.  else -> waiting mail and history by sender, recipient
 *             or domain, the newest first -> one of them: its story
 *
 * Waiting mail (/api/v1/queue/ID) and history (/api/v1/history?id=) are asked together: a
 * message may be in either, or, when some of its recipients are done, in both.
 */
import { Refusal, get, getText, lines } from "/api.js";
import { breakable, command, h, moment, say, shape } from "/dom.js";
import { stateWord, table } from "/messages.js";
import { changeButtons, deed } from "/orders.js";
import { absolute, clock, plural, relative, size, span, visibleLines } from "/text.js";

const FOUND_MOST = 30, CONTENT_MOST = 256 * 1024;
const ID = /^[0-9a-hjkmnp-tv-z]{13}$/i;

/* ----------------------------------------------------------- finding ----- */

const ends = {
    delivered: "good", failed: "bad", expired: "bad", returned: "bad", refused: "bad",
    discarded: "bad", deleted: "bad", changed: "next", deferred: "busy",
};

function pastRow(e) {
    return h("tr", null,
        h("td", { "data-label": "when" }, moment(e.at)),
        h("td", { "data-label": "what" },
            h("span", { class: "state" }, shape(ends[e.what] ?? "plain"), e.what)),
        h("td", { "data-label": "id" }, e.queue_id
            ? h("a", { href: "#/message/" + encodeURIComponent(e.queue_id) }, e.queue_id) : ""),
        h("td", { class: "address", "data-label": "from" }, breakable(e.sender ?? "")),
        h("td", { class: "address", "data-label": "to" }, breakable(e.recipient ?? "")),
        h("td", { class: "words", "data-label": "words" }, e.reply ?? ""));
}

function pastTable(rows) {
    return h("table", { class: "list past" }, h("caption", { class: "unseen" }, "History"),
        h("thead", null, h("tr", null, ["when", "what", "id", "from", "to", "words"].map((t) =>
            h("th", { scope: "col" }, t)))),
        h("tbody", null, rows.map(pastRow)));
}

/* Who writes an address means sender or recipient; anything else is a domain. */
function queriesOf(word) {
    const limit = FOUND_MOST;

    return word.includes("@") || word === "<>"
        ? [{ from: word, limit }, ...(word === "<>" ? [] : [{ to: word, limit }])]
        : [{ from: "*@" + word, limit }, { domain: word, limit }];
}

function unique(rows, key) {
    return [...new Map(rows.map((r) => [key(r), r])).values()];
}

async function ofAll(path, queries, signal) {
    const found = await Promise.all(queries.map((q) => lines(path, q, signal)));

    return found.flat();
}

async function find(place, word, signal) {
    const queries = queriesOf(word);
    const settled = await Promise.allSettled([ofAll("/api/v1/queue", queries, signal),
        ofAll("/api/v1/history", queries, signal)]);
    const [waiting, past] = settled.map((r) => r.value ?? []);
    const faults = settled.filter((r) => r.reason).map((r) => r.reason.message);

    if (signal.aborted)
        return;
    const now = unique(waiting, (m) => m.queue_id)
        .sort((a, b) => b.arrival_time - a.arrival_time);
    const before = unique(past, (e) => e.cursor ?? JSON.stringify(e))
        .sort((a, b) => b.at - a.at).slice(0, FOUND_MOST);

    place.replaceChildren(
        ...[...new Set(faults)].map((f) => h("p", { class: "fault", role: "alert" }, f)),
        h("h3", { tabindex: "-1" }, "Waiting now"), now.length ? table(now, "Waiting now")
            : h("p", { class: "dim" }, "Nothing waits."),
        h("h3", null, "What happened"), before.length ? pastTable(before)
            : h("p", { class: "dim" }, "History knows of nothing."),
        command("waypost", "history", ...(word.includes("@") ? ["--to", word]
            : ["--domain", word])));
    place.querySelector("h3").focus();
}

/* ---------------------------------------------------------- timeline ----- */

function dialogueOf(texts) {
    return h("details", null, h("summary", null, "The dialogue"),
        h("pre", { tabindex: "0" }, document.createTextNode(
            visibleLines(texts.map((t) => visibleLines(t).trimEnd()).join("\n")))));
}

function moved(at, kind, title, ...more) {
    return { at, kind, title, more };
}

function attempt(...words) {
    return { ...moved(...words), isAttempt: true };
}

function arrival(m, past) {
    const a = m ?? past[0] ?? {};
    const client = a.client_name && a.client_name !== "unknown"
        ? `${a.client_name} [${a.client}]` : a.client;
    const said = [client && "from " + client, a.helo && `greeted as ${a.helo}`,
        a.login && `logged in as ${a.login}`, a.listener && `by listener ${a.listener}`,
        a.protocol, a.tls].filter(Boolean);
    const at = m?.arrival_time ?? a.received ?? a.at;

    return moved(at, "next", "Received", said.length ? h("p", null, said.join(", ")) : null,
        a.message_id && h("p", { class: "dim" }, "Message-ID " + a.message_id));
}

/* Each rule that let one of the recipients in, once. */
function verdicts(m, past, at) {
    const all = [...(m?.recipients ?? []), m ?? {}, ...past].filter((r) => r.rule);

    return unique(all, (r) => `${r.rule} ${r.place}`).map((r) => moved(at, "good",
        `Judged by rule “${r.rule}”`, r.place && h("p", { class: "dim" }, r.place)));
}

/* Attempts of all recipients; those of one moment and reply are one step. */
function attempts(m, past) {
    const dialogues = [...(m?.dialogues ?? [])];
    const steps = new Map();

    for (const r of [...(m?.recipients ?? []).map((x) => [x.address, x.tries]),
                     ...past.map((e) => [e.recipient, e.tries])]) {
        for (const t of r[1] ?? []) {
            const key = `${t.at} ${t.host} ${t.reply}`;
            const step = steps.get(key) ?? { ...t, to: new Set() };

            step.to.add(r[0]);
            steps.set(key, step);
        }
    }
    return [...steps.values()].map((t) => {
        const i = dialogues.findIndex((d) => Math.abs(d.at - t.at) <= 2 &&
            (!d.host || !t.host || d.host === t.host));
        const [d] = i < 0 ? [] : dialogues.splice(i, 1);

        return attempt(t.at, String(t.status).startsWith("2") ? "good" : "busy",
            `Attempt${t.host ? " at " + t.host : ""}`, replyOf(t),
            h("p", { class: "dim" }, "for " + [...t.to].join(", ")),
            d?.lines?.length && dialogueOf(d.lines));
    }).concat(dialogues.map((d) => moved(d.at, "plain", `Dialogue${d.host ? " with " + d.host : ""}`,
        dialogueOf(d.lines ?? []))));
}

function replyOf(t) {
    const text = t.reply || t.status;

    return text && h("p", { class: "reply" }, text);
}

function outcomes(past) {
    return past.map((e) => moved(e.at, ends[e.what] ?? "plain",
        e.recipient ? `${e.what}: ${e.recipient}` : e.what, replyOf(e),
        e.in_doubt && h("p", null, "In doubt: the connection was lost after the final dot, " +
            "so it may arrive twice."),
        e.held_by && h("p", null, "by " + e.held_by),
        Array.isArray(e.delays) && h("p", { class: "dim" },
            "before the queue, in it, connecting, sending: " +
            e.delays.map((s) => (s < 10 ? s.toFixed(1) : Math.round(s)) + " s").join(" / ")),
        e.dialogue?.length && dialogueOf(e.dialogue)));
}

/* What is to come: why it waits and until when. */
function waits(m) {
    return (m?.recipients ?? []).map((r) => moved(r.due || null,
        { held: "kept", deferred: "busy" }[r.state] ?? "next",
        `${r.state}: ${r.address}`,
        r.held_by && h("p", null, "held by " + r.held_by),
        h("p", null, r.why ?? (r.due ? `next attempt ${relative(r.due)}` : "not tried by itself")),
        r.delay_reason && h("p", { class: "reply" }, r.delay_reason),
        (r.destination || r.route) && h("p", { class: "dim" }, [
            r.route && `route ${r.route}`, r.destination && `to ${r.destination}`]
            .filter(Boolean).join(", "))));
}

/* The hour alone is no answer for what was days ago. */
function dayOrClock(at) {
    return Date.now() / 1000 - at > 72000 ? absolute(at).slice(0, 16) : clock(at);
}

function item(step, before) {
    return h("li", { class: step.kind }, shape(step.kind),
        h("div", { class: "when" }, step.at ? moment(step.at) : h("span", null, "–"),
            step.at ? h("span", { class: "dim" }, dayOrClock(step.at)) : null,
            before && step.at && step.at - before >= 1
                ? h("span", { class: "dim" }, "+" + span(step.at - before)) : null),
        h("div", { class: "step" }, h("h4", null, step.title), step.more));
}

const FOLD_FROM = 6, FOLD_FIRST = 1, FOLD_LAST = 2;

/* Of many attempts in a row, the first and the latest are seen; those between are folded. */
function folded(items, steps) {
    const kept = [];
    let from = 0;

    while (from < steps.length) {
        let to = from;
        while (to < steps.length && steps[to].isAttempt === steps[from].isAttempt)
            to++;
        if (!steps[from].isAttempt || to - from < FOLD_FROM) {
            kept.push(...items.slice(from, to));
        } else {
            const a = from + FOLD_FIRST, b = to - FOLD_LAST;

            kept.push(...items.slice(from, a), h("li", { class: "busy fold" }, shape("busy"),
                h("div", { class: "when" }), h("details", { class: "step" },
                    h("summary", null, `${plural(b - a, "more attempt")} in ` +
                        span(steps[b - 1].at - steps[a].at)),
                    h("ol", { class: "timeline" }, items.slice(a, b)))),
                ...items.slice(b, to));
        }
        from = to;
    }
    return kept;
}

function timeline(title, steps) {
    return steps.length ? [h("h3", null, title), h("ol", { class: "timeline" },
        folded(steps.map((st, i) => item(st, i && steps[i - 1].at)), steps))] : [];
}

/* --------------------------------------------------------- the message --- */

function headOf(m, past) {
    const a = m ?? past[0];
    const to = m ? m.recipients.map((r) => r.address)
        : [...new Set(past.map((e) => e.recipient).filter(Boolean))];
    const facts = [["from", breakable(a.sender || "<>")], ["to", breakable(to.join(", "))],
        ["size", size(m?.message_size ?? a.size)],
        ...(m?.expire_time ? [["expires", moment(m.expire_time)]] : [])];

    return h("dl", { class: "facts wide" }, facts.map(([k, v]) =>
        h("div", null, h("dt", null, k), h("dd", null, v))));
}

function buttonsOf(m) {
    const names = { held: ["release", "delete", "bounce", "move"], deleted: ["undelete"] }[m.state]
        ?? ["retry", "hold", "delete", "bounce", "move"];

    return h("p", { class: "row", role: "group", "aria-label": "To this message" },
        changeButtons(names, () => ({ id: m.queue_id }), () => `(${m.queue_id})`),
        deed("Show content", () => content(m.queue_id)));
}

/* Read as text, and only as text. */
async function content(id) {
    const { bytes, whole } = await getText(`/api/v1/queue/${encodeURIComponent(id)}/content`,
        CONTENT_MOST);
    const text = new TextDecoder("utf-8").decode(bytes);
    const place = document.getElementById("content");

    place.replaceChildren(h("h3", { tabindex: "-1" }, "Content" + (whole ? ""
        : `, the first ${size(CONTENT_MOST)}`)),
        h("pre", { tabindex: "0" }, document.createTextNode(visibleLines(text))),
        command("waypost", "queue", "cat", id));
    place.querySelector("h3").focus();
}

async function orMissing(promise) {
    return promise.catch((e) => {
        if (e instanceof Refusal && e.status !== 404)
            return { fault: e.message };
        if (e instanceof Refusal)
            return null;
        throw e;
    });
}

async function tellStory(place, id, signal) {
    const [found, events] = await Promise.all([
        orMissing(get("/api/v1/queue/" + encodeURIComponent(id), null, signal)),
        orMissing(lines("/api/v1/history", { id, limit: 200 }, signal))]);
    const m = found?.fault ? null : found;
    const past = (events?.fault ? [] : events ?? []).toSorted((a, b) => a.at - b.at);

    if (signal.aborted)
        return;
    const faults = [found?.fault, events?.fault].filter(Boolean)
        .map((f) => h("p", { class: "fault", role: "alert" }, f));
    if (!m && !past.length) {
        place.replaceChildren(...faults, h("p", null,
            `Neither the queue nor history knows a message ${id}.`));
        return;
    }
    const start = arrival(m, past);
    const steps = [start, ...verdicts(m, past, start.at), ...attempts(m, past), ...outcomes(past)]
        .map((st, i) => [st, i]).sort(([a, i], [b, j]) => a.at - b.at || i - j)
        .map(([st]) => st);

    place.replaceChildren(...faults,
        h("h3", { tabindex: "-1", class: "mono" }, id, " ", m ? stateWord(m.state) : ""),
        headOf(m, past), m ? buttonsOf(m) : "",
        ...timeline("What happened", steps), ...timeline("What is to come", waits(m)),
        m?.header ? h("details", null, h("summary", null, "The message's header"),
            h("pre", { tabindex: "0" }, document.createTextNode(visibleLines(m.header)))) : "",
        h("div", { id: "content" }),
        command("waypost", m ? "queue" : "history", ...(m ? ["show", id] : ["--id", id])));
}

export function open(main, [id]) {
    const search = h("input", { type: "search", id: "word", autocomplete: "off",
                                spellcheck: "false", value: id ?? "", maxlength: 320 });
    const sum = h("p", { class: "dim", role: "status" });
    const place = h("section", { class: "panel bare" });
    let cut = new AbortController();

    async function look(word) {
        cut.abort();
        cut = new AbortController();
        const { signal } = cut;

        say(sum, "");
        try {
            await (ID.test(word) ? tellStory(place, word.toUpperCase(), signal)
                : find(place, word, signal));
        } catch (e) {
            if (!signal.aborted)
                say(sum, e.message);
        }
    }
    main.append(h("form", { class: "row", role: "search", onsubmit: (event) => {
        event.preventDefault();
        const word = search.value.trim();
        if (word && location.hash !== "#/message/" + encodeURIComponent(word))
            location.hash = "#/message/" + encodeURIComponent(word);
        else if (word)
            look(word);
    } }, h("label", { for: "word" }, "Id, sender, recipient or domain"), search,
        h("button", { type: "submit", class: "strong" }, "Find"),
        h("span", { class: "dim" }, "waiting or long gone; * stands for anything")),
        sum, place);
    const again = () => id && look(id);
    document.addEventListener("changed", again);
    if (id)
        look(id);
    else
        place.append(h("p", { class: "dim" }, "A message is told from its arrival to its end: " +
            "who brought it, which rule let it in, each attempt with what was said, and what " +
            "became of it."), command("waypost", "queue", "show", "ID"));
    return () => {
        cut.abort();
        document.removeEventListener("changed", again);
    };
}

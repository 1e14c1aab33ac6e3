/*
 * alarms - is something wrong, and what helps?
 *
 * Facts in, troubles out, the worst first. A trouble is { key, mark, text, href, and for some
 * words (what was said), due, name (of a destination), acts (what may be done there) }. The
 * head line shows the loud ones on every view, the first view shows all.
 */
import { count, parts, plural, size, span } from "/text.js";

const MUCH_MAIL = 100, DAYS_LEFT = 14, DAYS_BAD = 3, HISTORY_BEHIND = 10000, WORST = 5;

const plain = (text) => ({ key: text, mark: "bad", text, href: "#/feed", isLoud: true });

function disk(status, system) {
    const free = system?.disk?.free_bytes ?? status.queue?.disk_free_bytes;
    const reserve = system?.disk?.reserve_bytes ?? 0;

    if (free === undefined || (!reserve && free > 0))
        return [];
    if (free < reserve)
        return [`Disk full: ${size(free)} free, under the reserve; no mail is accepted`];
    return free < 2 * reserve ? [`Disk low: ${size(free)} free`] : [];
}

function certificates(system) {
    return (system?.certificates ?? []).filter((c) => c.days < DAYS_LEFT).map((c) => ({
        ...plain(c.days < 0 ? `A certificate has expired (${c.names?.[0] ?? c.file})`
            : `A certificate ends in ${plural(Math.floor(c.days), "day")} ` +
              `(${c.names?.[0] ?? c.file})`),
        mark: c.days < DAYS_BAD ? "bad" : "busy" }));
}

function history(status, system) {
    const behind = system?.history_behind ?? status.queue?.history_behind ?? 0;

    if (system?.history_paused)
        return ["History is paused"];
    return behind > HISTORY_BEHIND ? [`History is behind by ${count(behind)} events`] : [];
}

function webhooks(system) {
    const all = system?.webhooks ?? [];

    return [...all.filter((w) => w.last_error && w.behind)
        .map((w) => `Webhook ${w.name} is behind by ${count(w.behind)}`),
    ...all.filter((w) => w.lost)
        .map((w) => `Webhook ${w.name} was not told of about ${count(w.lost)} events`)];
}

/* Who stopped it wrote why; the relay has its own words in front. */
export function reasonOf(d) {
    return (d.reason ?? "").replace(/^(\d\.\d+\.\d+ )?suspended by the operator(: )?/, "");
}

const kinds = {
    "backing-off": { word: "is down", mark: "bad", acts: ["retry", "suspend"],
                     words: (d) => d.reason || d.last_reply },
    suspended: { word: "is suspended", mark: "stopped", acts: ["resume"],
                 words: (d) => reasonOf(d) || "no reason was given" },
    up: { word: "puts mail off", mark: "busy", acts: ["retry", "hold"],
          words: (d) => d.last_reply },
};

/* One that is up is a trouble only when much waits and the last answer was "later". */
function isTrouble(d) {
    return d.waiting > 0 && d.state in kinds && (d.state !== "up" ||
        (d.waiting >= MUCH_MAIL && /^4/.test(d.last_reply ?? "")));
}

/* Down, or stopped by a person, or not willing, with mail that waits for it. */
function destinations(list) {
    const rank = (d) => d.state === "up" ? 1 : 0;

    return (list ?? []).filter(isTrouble)
        .sort((a, b) => rank(a) - rank(b) || b.waiting - a.waiting)
        .map((d) => {
            const kind = kinds[d.state], who = parts(d.name).host;

            return { key: d.name, name: d.name, who, mark: kind.mark, href: "#/destinations",
                     text: `${who} ${kind.word}, ${count(d.waiting)} wait`,
                     title: kind.word, waiting: d.waiting, words: kind.words(d) ?? "",
                     due: d.due, acts: kind.acts,
                     isLoud: d.state !== "up" && d.waiting >= MUCH_MAIL };
        });
}

function held(status) {
    const n = status.queue?.messages_held ?? 0;

    return n ? [{ key: "held", mark: "kept", href: "#/queue/state/held", look: "Look",
                  text: `${plural(n, "message")} ${n === 1 ? "is" : "are"} held until ` +
                      "somebody looks" }] : [];
}

/* What somebody should do something about. */
export function troubles({ status, system, list }) {
    const hops = destinations(list), more = hops.length - WORST;

    return [
        ...(status.stopping ? [plain("The relay is going down")] : []),
        ...disk(status, system).map(plain),
        ...hops.slice(0, WORST),
        ...(more > 0 ? [{ key: "more", mark: "busy", href: "#/destinations", look: "All",
                          text: `${plural(more, "more destination")} in trouble` }] : []),
        ...certificates(system),
        ...history(status, system).map(plain),
        ...webhooks(system).map(plain),
        ...(status.lag_ms_recent > 1000 ? [plain("A loop was busy for " +
            span(status.lag_ms_recent / 1000))] : []),
        ...held(status),
    ];
}

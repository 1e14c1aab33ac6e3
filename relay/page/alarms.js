/*
 * alarms - is something wrong?
 *
 * Facts in, sentences out, the worst first; the head line shows them on every view. Each
 * leads to the view that tells more.
 */
import { count, size, span } from "/text.js";

const MUCH_MAIL = 100, DAYS_LEFT = 14, HISTORY_BEHIND = 10000, TELL_MOST = 3;

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
    return (system?.certificates ?? []).filter((c) => c.days < DAYS_LEFT).map((c) =>
        c.days < 0 ? `A certificate has expired (${c.names?.[0] ?? c.file})`
            : `A certificate ends in ${Math.floor(c.days)} days (${c.names?.[0] ?? c.file})`);
}

function history(status, system) {
    const behind = system?.history_behind ?? status.queue?.history_behind ?? 0;

    if (system?.history_paused)
        return ["History is paused"];
    return behind > HISTORY_BEHIND ? [`History is behind by ${count(behind)} events`] : [];
}

/* Down, or stopped by a person, with much mail that waits for it. */
function destinations(list) {
    return (list ?? []).filter((d) => d.waiting >= MUCH_MAIL &&
            (d.state === "backing-off" || d.state === "suspended"))
        .sort((a, b) => b.waiting - a.waiting)
        .map((d) => `${d.name} is ${d.state === "suspended" ? "suspended" : "down"}, ` +
            `${count(d.waiting)} wait`);
}

function webhooks(system) {
    return (system?.webhooks ?? []).filter((w) => w.last_error && w.behind)
        .map((w) => `Webhook ${w.name} is behind by ${count(w.behind)}`);
}

export function alarms(status, system, list) {
    const all = [
        ...(status.stopping ? [{ text: "The relay is going down", href: "#/feed" }] : []),
        ...disk(status, system).map((text) => ({ text, href: "#/feed" })),
        ...destinations(list).map((text) => ({ text, href: "#/destinations" })),
        ...certificates(system).map((text) => ({ text, href: "#/feed" })),
        ...history(status, system).map((text) => ({ text, href: "#/feed" })),
        ...webhooks(system).map((text) => ({ text, href: "#/feed" })),
        ...(status.lag_ms_recent > 1000 ? [{ text: "A loop was busy for " +
            span(status.lag_ms_recent / 1000), href: "#/feed" }] : []),
    ];

    if (all.length <= TELL_MOST)
        return all;
    return [...all.slice(0, TELL_MOST),
            { text: `${all.length - TELL_MOST} more`, href: "#/destinations" }];
}

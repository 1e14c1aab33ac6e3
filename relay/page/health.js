/*
 * health - refusals by rule, days left on certificates, disk, WAL and commit time.
 */
import { get } from "/api.js";
import { command, h, s, shape } from "/dom.js";
import { look } from "/look.js";
import { count, milliseconds, plural, size } from "/text.js";

const RULES_MOST = 10, BAR = 100;

function bar(part) {
    return s("svg", { class: "bar", width: BAR, height: 8, "aria-hidden": "true" },
        s("rect", { class: "bed", width: BAR, height: 8 }),
        s("rect", { class: "fill", width: Math.max(part > 0 ? 2 : 0, part * BAR).toFixed(1),
                    height: 8 }));
}

function refusals(status) {
    const all = (status.verdicts ?? []).filter((v) => v.code >= 400)
        .sort((a, b) => b.count - a.count);
    const most = Math.max(1, ...all.map((v) => v.count));

    if (!all.length)
        return h("p", { class: "dim" }, "Nothing was refused since the start.");
    return h("table", { class: "plain" }, h("caption", { class: "unseen" }, "Refusals by rule"),
        h("thead", { class: "unseen" }, h("tr", null, ["rule", "code", "count", "share"].map((t) =>
            h("th", { scope: "col" }, t)))),
        h("tbody", null, all.slice(0, RULES_MOST).map((v) => h("tr", null,
            h("th", { scope: "row" }, v.rule || "(by no rule)"), h("td", null, v.code),
            h("td", { class: "number" }, count(v.count)), h("td", null, bar(v.count / most))))));
}

function certificates(system) {
    const all = system.certificates ?? [];

    if (!all.length)
        return h("p", { class: "dim" }, "No certificate is set.");
    return h("ul", { class: "plain" }, all.map((c) => h("li", null,
        shape(c.days < 3 ? "bad" : c.days < 30 ? "busy" : "good"),
        h("strong", null, c.days < 0 ? "expired" : plural(Math.floor(c.days), "day")), " ",
        h("span", { title: c.file }, (c.names ?? []).join(", ") || c.file),
        " ", bar(Math.min(1, Math.max(0, c.days / 90))))));
}

function facts(rows) {
    return h("dl", { class: "facts" }, rows.map(([k, v]) =>
        h("div", null, h("dt", null, k), h("dd", null, v))));
}

function store(status, system) {
    const q = status.queue ?? {}, disk = system?.disk ?? {};

    return facts([
        ["disk free", size(disk.free_bytes ?? q.disk_free_bytes)],
        ["kept in reserve", disk.reserve_bytes === undefined ? "not known"
            : size(disk.reserve_bytes)],
        ["write-ahead log", size(system?.wal_bytes ?? q.wal_bytes)],
        ["latest commit", milliseconds((system?.commit_us_last ?? q.commit_us_last) / 1000)],
        ["longest commit", milliseconds((system?.commit_us_max ?? q.commit_us_max) / 1000)],
        ["history behind", plural(system?.history_behind ?? q.history_behind ?? 0, "event")],
        ["sessions", count(status.sessions)],
        ["longest turn", milliseconds(status.lag_ms_most)],
    ]);
}

function others(system) {
    const hooks = system.webhooks ?? [], listeners = system.listeners ?? [];

    return [
        listeners.length ? h("ul", { class: "plain" }, listeners.map((l) => h("li", null,
            h("strong", null, l.name), ` ${l.address}, ${plural(l.sessions, "session")}`))) : null,
        hooks.length ? h("ul", { class: "plain" }, hooks.map((w) => h("li", null,
            shape(w.last_error ? "busy" : "good"), h("strong", null, w.name),
            ` ${w.state}, ${count(w.behind)} behind`,
            w.lost ? `, about ${count(w.lost)} never told: the history had removed them` : "",
            w.last_error ? ": " + w.last_error : "")))
            : null];
}

/* Fills the place; answers how to end it. */
export function health(place) {
    const rules = h("div"), certs = h("div"), disk = h("div"), more = h("div");
    const fault = h("p", { class: "fault", role: "alert" });

    place.append(fault,
        h("section", null, h("h3", null, "Refusals by rule"), rules),
        h("section", null, h("h3", null, "Certificates"), certs),
        h("section", null, h("h3", null, "Disk and commits"), disk),
        h("section", null, h("h3", null, "Listeners and webhooks"), more),
        command("waypost", "top"));
    const ask = look(5000, fault, async (signal) => {
        const [status, system] = await Promise.all([get("/api/v1/status", null, signal),
            get("/api/v1/system", null, signal)]);

        rules.replaceChildren(refusals(status));
        certs.replaceChildren(certificates(system));
        disk.replaceChildren(store(status, system));
        more.replaceChildren(...others(system).filter(Boolean));
    });
    return ask.end;
}

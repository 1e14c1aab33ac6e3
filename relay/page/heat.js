/*
 * heat - what waits, by domain and age: qshape's table, seen.
 *
 * A cell says how many, and is the darker the more there are (by the logarithm). Arrow keys
 * move from cell to cell, Enter opens the messages that are meant. The list below is that
 * of the same filters that the commands know, so each can be copied into a terminal.
 */
import { get } from "/api.js";
import { breakable, command, dress, h, keyed, moment, roving, say } from "/dom.js";
import { look } from "/look.js";
import { messages } from "/messages.js";
import { nothingYet } from "/needs.js";
import { count, plural, short, span } from "/text.js";

const STEPS = 5;

/* Between two bounds, in minutes; the last has no end. */
function age(bounds, i) {
    return { newer: i < bounds.length ? bounds[i] : 0, older: i ? bounds[i - 1] : 0 };
}

function label(bounds, i) {
    const short_ = (m) => m < 120 ? m + "m" : Math.round(m / 60) + "h";

    return i < bounds.length ? short_(bounds[i]) : "older";
}

function wordsOf(bounds, i) {
    const a = age(bounds, i), of = (m) => span(m * 60);

    if (!a.older)
        return `younger than ${of(a.newer)}`;
    return a.newer ? `${of(a.older)} to ${of(a.newer)} old` : `older than ${of(a.older)}`;
}

function heatOf(n, most) {
    if (!n)
        return 0;
    return Math.min(STEPS, 1 + Math.floor(Math.log(n) / Math.log(Math.max(most, 2)) *
        (STEPS - 0.01)));
}

/* ---------------------------------------------------------------- grid --- */

function cell(i) {
    return h("button", { type: "button", class: "cell", tabindex: "-1", "data-cell": i });
}

function makeRow(row, bounds, pick) {
    const e = h("div", { role: "row", class: "heatrow" },
        h("div", { role: "rowheader", class: "domain" }, row.domain === null ? "all others"
            : h("button", { type: "button", tabindex: "-1", class: "link",
                            title: row.domain, onclick: () => pick(row.domain, -1) }, breakable(row.domain)),
            h("span", { class: "total" })));

    for (let i = 0; i <= bounds.length; i++)
        e.append(h("div", { role: "gridcell" }));
    return e;
}

function updateRow(e, row, bounds, most, pick) {
    const cells = [...e.querySelectorAll('[role="gridcell"]')];

    say(e.querySelector(".total"), count(row.total));
    dress(e.querySelector(".link") ?? e.firstChild, { "aria-label":
        `${row.domain ?? "all others"}, all ${plural(row.total, "recipient")}` });
    cells.forEach((place, i) => {
        const n = row.cells[i] ?? 0;
        let b = place.firstElementChild;

        if (!n) {
            if (b !== document.activeElement)
                place.replaceChildren();
            else
                say(b, "0");
            return;
        }
        if (!b) {
            b = cell(i);
            if (row.domain !== null)
                b.addEventListener("click", () => pick(row.domain, i));
            place.append(b);
        }
        b.className = "cell heat" + heatOf(n, most);
        dress(b, { "aria-label": `${short(n)}: ${row.domain ?? "all others"}, ${wordsOf(bounds, i)}`,
                   title: `${count(n)}, ${wordsOf(bounds, i)}` });
        say(b, short(n));
    });
}

function legend() {
    return h("p", { class: "legend dim", "aria-hidden": "true" }, "few ",
        [1, 2, 3, 4, 5].map((i) => h("span", { class: "cell swatch heat" + i })), " many");
}

/* Filters of the API, in the order in which a person would type them. */
function filterOf(domain, bounds, i) {
    const a = i < 0 ? {} : age(bounds, i);

    return { domain, ...(a.older ? { older: a.older + "min" } : {}),
             ...(a.newer ? { newer: a.newer + "min" } : {}) };
}

export function open(main, [word, state]) {
    const grid = h("div", { role: "grid", class: "heatmap", hidden: true, "aria-label":
        "Waiting mail by domain and age" });
    const head = h("div", { role: "row", class: "heatrow head" });
    const body = h("div", { role: "rowgroup" });
    const sum = h("p", { class: "lead" }), empty = h("div");
    const fault = h("p", { class: "fault", role: "alert" });
    const below = h("section", { class: "panel", "aria-live": "off" });
    let list = null, bounds = [];

    const rows = () => [...body.children].map((r) => [r.querySelector(".link"),
        ...[...r.querySelectorAll('[role="gridcell"]')].map((c) => c.firstElementChild)]);
    const settle = roving(grid, rows);

    function show(filter, title) {
        list?.end();
        list = messages(below, filter, title);
    }
    function pick(domain, i) {
        show(filterOf(domain, bounds, i), domain + (i < 0 ? "" : ", " + wordsOf(bounds, i)));
        below.querySelector("h3")?.focus();
    }
    function draw(heat) {
        bounds = heat.bounds_min;
        if (!head.children.length) {
            head.append(h("div", { role: "columnheader", class: "domain" }, "domain, total"),
                ...[...bounds, 0].map((_, i) => h("div", { role: "columnheader",
                    title: wordsOf(bounds, i) }, label(bounds, i))));
        }
        const most = Math.max(1, ...heat.rows.flatMap((r) => r.cells));
        keyed(body, heat.rows, (r) => r.domain, (r) => makeRow(r, bounds, pick),
            (e, r) => updateRow(e, r, bounds, most, pick));
        grid.hidden = !heat.rows.length;
        key.hidden = grid.hidden;
        if (grid.hidden !== Boolean(empty.firstChild))
            empty.replaceChildren(...(grid.hidden ? [nothingYet("What could not go out yet " +
                "would stand here: a row for each domain, a column for each age, the darker " +
                "the more.")] : []));
        settle();
        sum.replaceChildren(heat.total ? `${plural(heat.total, "recipient")} ` +
            "by domain and age, the most first" + (heat.complete === false
            ? "; still being counted" : "") + (heat.at_ms ? ", as of " : "")
            : "Nothing waits", heat.total && heat.at_ms ? moment(heat.at_ms / 1000) : "", ".");
    }

    const key = legend();
    main.append(sum, fault, h("div", { class: "scroll" }, grid), empty, key,
        command("waypost", "queue", "shape"),
        h("p", { class: "row" }, h("span", { class: "dim" }, "Also:"),
            [["held", "held"], ["deferred", "waiting"], ["deleted", "deleted, for a day"]]
                .map(([state, name]) => h("button", { type: "button",
                    onclick: () => show({ state }, name) }, name))), below);
    grid.append(head, body);

    const ask = look(5000, fault, async (signal) => {
        draw(await get("/api/v1/queue/heat", { limit: 50 }, signal));
    });
    if (word === "state" && state)
        show({ state }, state);
    else if (word)
        show({ via: word }, "for " + word);
    return () => {
        ask.end();
        list?.end();
    };
}

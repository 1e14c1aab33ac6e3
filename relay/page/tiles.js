/*
 * tiles - a tile for each next hop, the ones in trouble first.
 *
 * A tile is brought up to date in place, so that a button does not move away under a hand.
 * Where there are very many, those with the most mail are shown; a name finds any.
 */
import { lines } from "/api.js";
import { reasonOf } from "/alarms.js";
import { command, dress, h, keyed, nameOf, say, setMoment, shape } from "/dom.js";
import { look } from "/look.js";
import { nothingYet } from "/needs.js";
import { deed, exactly, holdAll, probe, resume, retry, suspend } from "/orders.js";
import { count, milliseconds, plural, size } from "/text.js";

const SHOWN_MOST = 60, BUSIEST = 100;

export const states = {
    up: { shape: "good", word: "up", rank: 3 },
    "backing-off": { shape: "busy", word: "backing off", rank: 0 },
    suspended: { shape: "stopped", word: "suspended", rank: 1 },
    offline: { shape: "away", word: "offline", rank: 2 },
};

const rank = (d) => states[d.state]?.rank ?? 4;

function fact(name, kind = "span") {
    return h("div", null, h("dt", null, name), h("dd", null, h(kind)));
}

function make(d) {
    const tile = h("article", { class: "tile", "aria-label": d.name },
        h("header", null, h("h3", { title: d.name }, nameOf(d.name)), h("p", { class: "state" })),
        h("dl", { class: "facts" }, fact("sessions"), fact("waiting"), fact("next attempt", "time"),
            fact("last delivery", "time"), fact("delivery takes"), fact("TLS")),
        h("p", { class: "last" }),
        h("p", { class: "row", role: "group", "aria-label": "Orders to " + d.name },
            deed("Retry", () => retry(d.name), { name: "Retry " + d.name }),
            deed("Hold", () => holdAll(d.name), { name: "Hold the mail for " + d.name }),
            deed("Suspend", () => suspend(d.name), { name: "Suspend " + d.name }),
            deed("Resume", () => resume(d.name), { name: "Resume " + d.name }),
            deed("Probe", () => probe(d.name), { name: "Probe " + d.name }),
            h("a", { href: "#/why/" + encodeURIComponent(d.name), class: "button",
                     "aria-label": "Why is it stuck? " + d.name }, "Why?")));

    return tile;
}

function lastWords(d) {
    if (d.held_until)
        return d.reason[0].toUpperCase() + d.reason.slice(1);
    const words = d.state === "up" ? d.last_reply || d.reason : d.reason || d.last_reply;

    if (d.state === "suspended")
        return "Suspended: " + (reasonOf(d) || "no reason was given");
    return words ? "“" + words + "”" : "It has said nothing yet.";
}

function update(tile, d) {
    const [sessions, waiting, due, good, takes, tls] = tile.querySelectorAll("dd > *");
    const state = states[d.state] ?? { shape: "plain", word: d.state };
    const isStopped = d.state === "suspended";

    if (tile.dataset.state !== d.state) {
        tile.dataset.state = d.state;
        tile.querySelector(".state").replaceChildren(shape(state.shape), state.word);
        const [, , hold, go] = tile.querySelectorAll("button");
        hold.hidden = isStopped;
        go.hidden = !isStopped;
        /* who pressed one of the two finds the other */
        if (document.activeElement === document.body && tile.dataset.had)
            (isStopped ? go : hold).focus();
    }
    tile.dataset.had = tile.contains(document.activeElement) ? "1" : "";
    say(sessions, `${count(d.open)} of ${count(d.window || d.connections)}`);
    say(waiting, d.waiting ? `${count(d.waiting)}, ${size(d.waiting_bytes)}` : "none");
    setMoment(due, d.state === "up" ? d.held_until : d.due, d.state === "up" ? "at once"
        : isStopped ? "when resumed" : "when it is fetched");
    setMoment(good, d.last_good);
    say(takes, d.delivery_ms === 0 ? "under 1 ms" : milliseconds(d.delivery_ms));
    say(tls, d.tls || "not known");
    const last = tile.querySelector(".last");
    say(last, lastWords(d));
    dress(last, { title: lastWords(d) });
}

export function open(main) {
    const search = h("input", { type: "search", id: "find", autocomplete: "off",
                                spellcheck: "false", oninput: () => {
                                    draw();
                                    ask.now();
                                } });
    const only = h("select", { id: "only", onchange: draw }, h("option", { value: "" }, "all"),
        Object.entries(states).map(([value, st]) => h("option", { value }, st.word)));
    const sum = h("p", { class: "dim", role: "status" });
    const fault = h("p", { class: "fault", role: "alert" });
    const place = h("div", { class: "tiles" }), empty = h("div");
    let all = [];

    function draw() {
        const want = search.value.trim().toLowerCase();
        const found = all.filter((d) => (!only.value || d.state === only.value) &&
            d.name.toLowerCase().includes(want))
            .sort((a, b) => rank(a) - rank(b) || b.waiting - a.waiting ||
                (a.name < b.name ? -1 : 1));

        const isEmpty = !all.length && !want;
        if (isEmpty !== Boolean(empty.firstChild))
            empty.replaceChildren(...(isEmpty ? [nothingYet("No next hop is busy or in " +
                "trouble. Each that is gets a tile here: how many sessions it is given, what " +
                "waits for it, what it said last. A name finds the others.")] : []));
        keyed(place, found.slice(0, SHOWN_MOST), (d) => d.name, make, update);
        say(sum, found.length > SHOWN_MOST || (all.length === BUSIEST && !want)
            ? `${Math.min(SHOWN_MOST, found.length)} of the busiest, those in trouble first; a ` +
              "name finds others" : plural(found.length, "destination"));
    }

    main.append(h("p", { class: "row" },
        h("label", { for: "find" }, "Name"), search, h("label", { for: "only" }, "State"), only,
        sum), fault, empty, place, command("waypost", "dest", "list"));
    const ask = look(3000, fault, async (signal) => {
        const want = search.value.trim();
        all = await lines("/api/v1/destinations", want ? { name: `*${exactly(want)}*` }
            : { busiest: BUSIEST }, signal);
        draw();
    });
    return ask.end;
}

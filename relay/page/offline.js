/*
 * offline - hosts that come when they like, and providers that mail is fetched from.
 *
 * When each was last seen is a mark on a scale that is finer the nearer it is to now.
 */
import { lines } from "/api.js";
import { command, h, keyed, nameOf, s, say, setMoment, shape } from "/dom.js";
import { look } from "/look.js";
import { deed, fetchNow, retry } from "/orders.js";
import { absolute, count, plural, relative, size, span } from "/text.js";
import { states } from "/tiles.js";

const FAR = 30 * 86400, WIDTH = 200;
const ticks = [[60, "1 min"], [3600, "1 h"], [86400, "1 d"], [FAR, "30 d"]];

/* Right is now. */
function place(seconds) {
    const part = Math.log10(1 + Math.min(seconds, FAR) / 10) / Math.log10(1 + FAR / 10);

    return WIDTH - 8 - part * (WIDTH - 16);
}

function scale() {
    return s("svg", { class: "seen", role: "img", width: WIDTH, height: 34,
                      viewBox: `0 0 ${WIDTH} 34` },
        s("path", { class: "axis", d: `M4,12H${WIDTH - 4}` }),
        ticks.map(([at, text]) => [
            s("path", { class: "axis", d: `M${place(at)},8v8` }),
            s("text", { class: "tick", x: Math.max(16, place(at)), y: 30,
                        "text-anchor": "middle" }, text)]),
        s("path", { class: "mark", d: "M0,3 6,12 0,21 -6,12z" }));
}

function setScale(svg, at) {
    const ago = at ? Date.now() / 1000 - at : FAR;

    svg.querySelector(".mark").setAttribute("transform", `translate(${place(ago).toFixed(1)},0)`);
    svg.classList.toggle("never", !at);
    svg.setAttribute("aria-label", at ? `last seen ${relative(at)}` : "never seen");
}

/* ------------------------------------------------------------- hosts ----- */

function make(d) {
    return h("article", { class: "tile", "aria-label": d.name },
        h("header", null, h("h3", { title: d.name }, nameOf(d.name)), h("p", { class: "state" })),
        scale(),
        h("dl", { class: "facts" },
            ["last seen", "waiting", "window"].map((n, i) => h("div", null, h("dt", null, n),
                h("dd", null, h(i ? "span" : "time"))))),
        h("p", { class: "last" }),
        h("p", { class: "row", role: "group", "aria-label": "Orders to " + d.name },
            deed("Release", () => retry(d.name), { name: "Release what waits for " + d.name }),
            h("a", { class: "button", href: "#/queue/" + encodeURIComponent(d.name),
                     "aria-label": "What waits for " + d.name }, "What waits")));
}

function windowOf(d) {
    const far = d.opens - Date.now() / 1000 > 72000;

    if (d.opens)
        return `opens ${relative(d.opens)}, ${absolute(d.opens).slice(far ? 0 : 11, 16)}`;
    return d.closes ? `open, closes ${relative(d.closes)}` : "none set";
}

function update(tile, d) {
    const [seen, waiting, when] = tile.querySelectorAll("dd > *");
    const state = states[d.state] ?? { shape: "plain", word: d.state };

    if (tile.dataset.state !== d.state) {
        tile.dataset.state = d.state;
        tile.querySelector(".state").replaceChildren(shape(state.shape), state.word);
    }
    setScale(tile.querySelector(".seen"), d.last_good);
    setMoment(seen, d.last_good);
    say(waiting, d.waiting ? `${count(d.waiting)}, ${size(d.waiting_bytes)}` : "none");
    say(when, windowOf(d));
    say(tile.querySelector(".last"), d.reason || (d.fetched ? "It fetches its mail itself."
        : d.since ? `In this state since ${absolute(d.since).slice(0, 16)}.` : ""));
}

/* ----------------------------------------------------------- fetches ----- */

function makeFetch(f) {
    return h("article", { class: "tile", "aria-label": f.name },
        h("header", null, h("h3", null, f.name), h("p", { class: "state" })),
        h("dl", { class: "facts" }, ["from", "every", "last", "next"].map((n, i) =>
            h("div", null, h("dt", null, n), h("dd", null, h(i < 2 ? "span" : "time"))))),
        h("p", { class: "last" }),
        h("p", { class: "row" }, deed("Fetch now", () => fetchNow(f.name),
            { name: "Fetch now from " + f.name })));
}

function updateFetch(tile, f) {
    const [from, each, last, next] = tile.querySelectorAll("dd > *");
    const [mark, word] = f.state === "running" ? ["next", "running"]
        : f.ok === null ? ["plain", "not asked yet"] : f.ok ? ["good", "good"] : ["bad", "failed"];

    if (tile.dataset.state !== word) {
        tile.dataset.state = word;
        tile.querySelector(".state").replaceChildren(shape(mark), word);
    }
    say(from, f.from);
    say(each, f.every ? span(f.every) : "only when asked");
    setMoment(last, f.last);
    setMoment(next, f.next, "only when asked");
    say(tile.querySelector(".last"), f.result ?? "");
}

export function open(main) {
    const hosts = h("div", { class: "tiles" }), providers = h("div", { class: "tiles" });
    const sum = h("p", { class: "lead" }), sumFetches = h("p", { class: "dim" });
    const fault = h("p", { class: "fault", role: "alert" });

    main.append(sum, fault, hosts, command("waypost", "dest", "list", "pickup:*"),
        h("h3", { class: "title" }, "Mail that is fetched"), sumFetches, providers,
        command("waypost", "fetch"));
    const ask = look(5000, fault, async (signal) => {
        const [all, fetches] = await Promise.all([
            lines("/api/v1/destinations", null, signal), lines("/api/v1/fetches", null, signal)]);
        const found = all.filter((d) => d.on_demand).sort((a, b) => b.waiting - a.waiting ||
            (a.name < b.name ? -1 : 1));

        say(sum, found.length ? `${plural(found.length, "host")} that ` +
            `${found.length === 1 ? "comes" : "come"} for mail, or ` +
            `${found.length === 1 ? "is" : "are"} called when the time is right.`
            : "No host is waited for: none has had mail since the start, or no route is " +
              "pickup: or has an offline block.");
        keyed(hosts, found, (d) => d.name, make, update);
        say(sumFetches, fetches.length ? plural(fetches.length, "provider")
            : "No provider is set up.");
        keyed(providers, fetches, (f) => f.name, makeFetch, updateFetch);
    });
    return ask.end;
}

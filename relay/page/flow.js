/*
 * flow - the relay as one picture: a river from left to right, with its banks.
 *
 *   accepted ==> ready ========> delivered      a column each; on a narrow screen the
 *   refused      held   waiting  returned       same turned by a quarter
 *
 * The width of a stream is its rate (by its logarithm, so that one message a minute is
 * still seen), the gauge of a pool is what stands in it. Under each name: the figure, and
 * the last hour. What goes the wrong way is hatched, not only red.
 */
import { Refusal, events, every, get } from "/api.js";
import { command, h, s, say } from "/dom.js";
import { count, rate, short } from "/text.js";

/* x along the river, y across it */
const stations = [
    { name: "accepted", x: 0, y: 0, unit: "/s", what: "taken from clients" },
    { name: "refused", x: 0, y: 1, unit: "/s", what: "by rules, before the end" },
    { name: "ready", x: 1, y: 0, pool: true, what: "due now" },
    { name: "held", x: 1, y: 1, pool: true, what: "until somebody releases it" },
    { name: "waiting", x: 2, y: 1, pool: true, what: "for its next attempt" },
    { name: "delivered", x: 3, y: 0, unit: "/s", what: "the next hop said yes" },
    { name: "returned", x: 3, y: 1, unit: "/s", what: "to the sender, for good" },
];

/* from, to, whose rate; a number is a point without a station: x, y */
const streams = [
    { from: [-0.5, 0], to: "accepted", of: "accepted" },
    { from: [-0.5, 0.3], to: "refused", of: "refused" },
    { from: "accepted", to: "ready", of: "accepted" },
    { from: "ready", to: "delivered", of: "delivered" },
    { from: "ready", to: "waiting", of: "deferred" },
    { from: "ready", to: "held", of: null },
    { from: "waiting", to: "returned", of: "returned" },
    { from: "delivered", to: [3.5, 0], of: "delivered" },
];

const WIDE = 760;
const CARD = { w: 160, h: 96 };
const BANK = 56, DECADES = 6;

/* ------------------------------------------------------- sparklines ------ */

/* A line over its area; before the start there is neither. */
function sparkline(values, w, h0) {
    const most = Math.max(...values, 0.0001), step = w / Math.max(1, values.length - 1);
    const at = values.map((v, i) => v === null ? null
        : `${(i * step).toFixed(1)},${(h0 - 2 - v / most * (h0 - 2)).toFixed(1)}`);
    const first = at.findIndex(Boolean), known = at.filter(Boolean);

    if (!known.length)
        return null;
    return s("g", { class: "spark" },
        s("path", { class: "area",
                    d: `M${(first * step).toFixed(1)},${h0}L${known.join("L")}L${w},${h0}z` }),
        s("path", { class: "line", d: `M${known.join("L")}` }));
}

/* ------------------------------------------------------------ picture ---- */

function layout(width) {
    const isWide = width >= WIDE;
    const stepX = isWide ? (width - CARD.w - 2 * BANK) / 3 : 0;
    const narrow = Math.min(CARD.w, (width - 30) / 2);

    return {
        isWide, width, height: isWide ? 300 : 4 * 140 + 10,
        card: { w: isWide ? CARD.w : narrow, h: CARD.h },
        at: (x, y) => isWide ? [BANK + x * stepX, 18 + y * 168]
            : [1 + y * (width - narrow - 2), 22 + x * 140],
    };
}

function widthOf(perSecond) {
    return perSecond > 0 ? 3 + Math.min(25, 5 * Math.log10(1 + perSecond * 60)) : 2;
}

/* The middle of a card, or a point outside of all. */
function centre(l, place) {
    const st = stations.find((c) => c.name === place);
    const [x, y] = l.at(...(st ? [st.x, st.y] : place));

    return [x + l.card.w / 2, y + l.card.h / 2];
}

function stream(l, st, now) {
    const [x1, y1] = centre(l, st.from), [x2, y2] = centre(l, st.to);
    const per = st.of ? now[st.of] ?? 0 : 0;
    const bend = l.isWide ? `C${(x1 + x2) / 2},${y1} ${(x1 + x2) / 2},${y2}`
        : `C${x1},${(y1 + y2) / 2} ${x2},${(y1 + y2) / 2}`;
    const d = `M${x1},${y1}${bend} ${x2},${y2}`;
    const w = widthOf(per);

    return s("g", { class: `stream ${st.of ?? "dam"}${per > 0 ? "" : " dry"}` },
        s("path", { class: "bed", d, "stroke-width": w + 2 }),
        s("path", { class: "water", d, "stroke-width": w }),
        per > 0 && s("path", { class: "current", d }));
}

/* Water stands in a pool's gauge as high as the logarithm of what is in it; a line for each
 * tenfold. */
function gauge(l, n) {
    const tall = l.card.h - 16, level = n > 0 ? Math.min(1, Math.log10(n + 1) / DECADES) : 0;
    const marks = Array.from({ length: DECADES - 1 }, (_, i) =>
        `M0,${(tall * (i + 1) / DECADES).toFixed(1)}h4`).join("");

    return s("g", { class: "gauge", transform: `translate(${l.card.w - 18},8)` },
        s("rect", { class: "tube", width: 10, height: tall, rx: 2 }),
        s("rect", { class: "level", y: (tall * (1 - level)).toFixed(1), width: 10,
                    height: (tall * level).toFixed(1), rx: 2 }),
        s("path", { class: "marks", d: marks }));
}

function station(l, st, flow) {
    const [x, y] = l.at(st.x, st.y);
    const values = flow.series[st.name] ?? [], n = flow.now[st.name] ?? 0;
    const w = l.card.w - (st.pool ? 16 : 0), most = values.length ? Math.max(...values) : 0;

    return s("g", { class: `station ${st.name}${st.pool ? " pool" : ""}`,
                    transform: `translate(${x.toFixed(1)},${y})` },
        s("rect", { class: "card", width: l.card.w, height: l.card.h, rx: st.pool ? 3 : 14 }),
        st.pool && gauge(l, n),
        s("title", null, `${st.name}: ${st.what}`),
        s("text", { class: "name", x: 12, y: 20 }, st.name),
        s("text", { class: "figure", x: 12, y: 46 }, st.pool ? count(n) : rate(n),
            st.unit && s("tspan", { class: "unit", dx: 3 }, st.unit)),
        (l.isWide || !st.pool) && s("text", { class: "peak", x: w - 12, y: 20,
            "text-anchor": "end" }, "max " + (st.pool ? short(most) : rate(most))),
        s("g", { transform: "translate(12,54)" }, sparkline(values, w - 24, 32)));
}

function picture(flow, width) {
    const l = layout(width);

    return s("svg", { class: "river", role: "img", "aria-label": describe(flow),
                      width: l.width, height: l.height,
                      viewBox: `0 0 ${l.width} ${l.height}` },
        streams.map((st) => stream(l, st, flow.now)),
        stations.map((st) => station(l, st, flow)));
}

function describe(flow) {
    return "Mail per second: " + ["accepted", "refused", "delivered", "returned"].map((n) =>
        `${rate(flow.now[n])} ${n}`).join(", ") + ". In the queue: " +
        ["ready", "waiting", "held"].map((n) => `${count(flow.now[n])} ${n}`).join(", ") + ".";
}

/* ------------------------------------------------------- the same, read -- */

function table(flow) {
    const step = flow.step_s || 10;

    return h("table", { class: "plain" },
        h("thead", null, h("tr", null, ["", "now", "most in the hour", "in the hour"].map((t) =>
            h("th", { scope: "col" }, t)))),
        h("tbody", null, [...stations, { name: "deferred", unit: "/s" }].map((st) => {
            const values = flow.series[st.name] ?? [];
            const sum = values.reduce((a, b) => a + (b ?? 0), 0) * step;

            return h("tr", null, h("th", { scope: "row" }, st.name),
                h("td", null, st.pool ? count(flow.now[st.name])
                    : rate(flow.now[st.name]) + "/s"),
                h("td", null, st.pool ? count(Math.max(0, ...values))
                    : rate(Math.max(0, ...values)) + "/s"),
                h("td", null, st.pool ? "" : count(Math.round(sum))));
        })));
}

export function open(main) {
    const place = h("div", { class: "picture" });
    const rows = h("div");
    const fault = h("p", { class: "fault", role: "alert" });
    const cut = new AbortController();
    let flow = null, isAsked = false;

    function draw() {
        if (!flow || isAsked)
            return;
        isAsked = true;
        requestAnimationFrame(() => {
            isAsked = false;
            if (!place.isConnected)
                return;
            place.replaceChildren(picture(flow, Math.max(280, place.clientWidth)));
            rows.replaceChildren(table(flow));
        });
    }
    main.append(h("p", { class: "lead" }, "Mail per second, and what stands in the queue. " +
        "Under each, the last hour."), fault, place,
        h("details", null, h("summary", null, "The same as a table"), rows),
        command("waypost", "top"));

    const ask = every(10000, async (signal) => {
        try {
            flow = await get("/api/v1/flow", null, signal);
            say(fault, "");
            draw();
        } catch (e) {
            if (!signal.aborted)
                say(fault, e.message);
            throw e;
        }
    });
    const sees = new ResizeObserver(draw);
    sees.observe(place);
    follow(cut.signal, (now) => {
        if (flow) {
            flow.now = { ...flow.now, ...now };
            draw();
        }
    });
    return () => {
        ask.end();
        cut.abort();
        sees.disconnect();
    };
}

/* A tick a second, as long as the view is open; without the stream the picture is as fresh
 * as every ten seconds. */
async function follow(signal, each) {
    while (!signal.aborted) {
        try {
            await events({ kinds: "started" }, (kind, object) => {
                if (kind === "tick")
                    each(object);
            }, signal);
        } catch (e) {
            if (!signal.aborted && !(e instanceof Refusal) && !(e instanceof TypeError))
                throw e;
        }
        await new Promise((done) => setTimeout(done, 5000));
    }
}

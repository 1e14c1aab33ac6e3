/*
 * flow - the relay as one picture: a river from left to right, with its banks.
 *
 *   accepted ==> ready ========> delivered      a column each; on a narrow screen the
 *   refused      held   waiting  returned       same turned by a quarter
 *
 * The width of a stream is its rate (by its logarithm, so that one message a minute is
 * still seen), the gauge of a pool is what stands in it. Under each name: the figure, and
 * the last hour. What goes the wrong way is hatched, not only red. Above it stands what
 * needs somebody now (needs.js).
 */
import { Refusal, events, get } from "/api.js";
import { command, h, s } from "/dom.js";
import { look } from "/look.js";
import { needs } from "/needs.js";
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

const WIDE = 760, NARROW = 150, MINUTES = 60;
const CARD = 128, STEP = 150, SPARK = { top: 58, height: 40 };
const BANK = 28, DECADES = 6, BIN = 2;

/* ------------------------------------------------------- sparklines ------ */

/* The highest of what falls into each BIN of the width; null: nothing is known. */
function bins(values, w) {
    const n = Math.max(1, Math.min(values.length, Math.floor(w / BIN)));

    return Array.from({ length: n }, (_, i) => {
        const part = values.slice(Math.floor(i * values.length / n),
            Math.floor((i + 1) * values.length / n)).filter((v) => v !== null);

        return part.length ? Math.max(...part) : null;
    });
}

/* The hour: a line over its area, from a full zero to the highest. Before the start of the
 * relay there is neither, but dots. A mark each quarter of an hour. */
function sparkline(values, w) {
    const tall = SPARK.height, all = bins(values, w), most = Math.max(...values, 0.0001);
    const step = w / Math.max(1, all.length - 1), known = all.findIndex((v) => v !== null);
    const at = (v, i) => `${(i * step).toFixed(1)},${(tall - v / most * (tall - 3)).toFixed(1)}`;
    const line = known < 0 ? [] : all.map((v, i) => v === null ? null : at(v, i)).filter(Boolean);
    const begin = known < 0 ? w : known * step;

    return s("g", { class: "spark", transform: `translate(12,${SPARK.top})` },
        [0, 1, 2, 3, 4].map((i) => s("path", { class: "axis", d: `M${i * w / 4},${tall}v4` })),
        s("path", { class: "axis", d: `M0,${tall}h${w}` }),
        begin > 4 && s("path", { class: "gap", d: `M0,${tall - 4}H${begin.toFixed(1)}` }),
        begin > 90 && s("text", { class: "tick", x: 0, y: tall - 10 }, "not up yet"),
        line.length && s("path", { class: "area",
            d: `M${begin.toFixed(1)},${tall}L${line.join("L")}L${w},${tall}z` }),
        line.length && s("path", { class: "line", d: `M${line.join("L")}` }),
        s("text", { class: "tick", x: 0, y: tall + 16 }, `${MINUTES} min ago`),
        s("text", { class: "tick", x: w, y: tall + 16, "text-anchor": "end" }, "now"));
}

/* ------------------------------------------------------------ picture ---- */

function layout(width) {
    const isWide = width >= WIDE;
    const w = isWide ? Math.min(230, (width - 2 * BANK - 3 * 36) / 4)
        : Math.max(NARROW - 20, (width - 14) / 2);
    const stepX = isWide ? (width - w - 2 * BANK) / 3 : 0;

    return {
        isWide, width, height: isWide ? STEP + CARD + 24 : 3 * STEP + CARD + 24,
        card: { w, h: CARD },
        at: (x, y) => isWide ? [BANK + x * stepX, 12 + y * STEP]
            : [1 + y * (width - w - 2), 22 + x * STEP],
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
    const tall = SPARK.top - 14, level = n > 0 ? Math.min(1, Math.log10(n + 1) / DECADES) : 0;
    const marks = Array.from({ length: DECADES - 1 }, (_, i) =>
        `M0,${(tall * (i + 1) / DECADES).toFixed(1)}h4`).join("");

    return s("g", { class: "gauge", transform: `translate(${l.card.w - 20},8)` },
        s("rect", { class: "tube", width: 10, height: tall, rx: 2 }),
        s("rect", { class: "level", y: (tall * (1 - level)).toFixed(1), width: 10,
                    height: (tall * level).toFixed(1), rx: 2 }),
        s("path", { class: "marks", d: marks }));
}

function station(l, st, flow) {
    const [x, y] = l.at(st.x, st.y);
    const values = flow.series[st.name] ?? [], n = flow.now[st.name] ?? 0;
    const right = l.card.w - (st.pool ? 28 : 12), most = Math.max(n, ...values);

    return s("g", { class: `station ${st.name}${st.pool ? " pool" : ""}`,
                    transform: `translate(${x.toFixed(1)},${y})` },
        s("rect", { class: "card", width: l.card.w, height: l.card.h, rx: st.pool ? 3 : 14 }),
        st.pool && gauge(l, n),
        s("title", null, `${st.name}: ${st.what}`),
        s("text", { class: "name", x: 12, y: 20 }, st.name),
        s("text", { class: "figure", x: 12, y: 46 }, st.pool ? count(n) : rate(n),
            st.unit && s("tspan", { class: "unit", dx: 3 }, st.unit)),
        s("text", { class: "peak", x: right, y: 46, "text-anchor": "end" },
            "max " + (st.pool ? short(most) : rate(most))),
        sparkline(values, l.card.w - 24));
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
    const trouble = h("section", { class: "panel trouble", "aria-label": "What needs you" });
    const endNeeds = needs(trouble);
    main.append(trouble, fault, place,
        h("details", null, h("summary", null, "The same as a table"), rows),
        command("waypost", "top"));

    const ask = look(10000, fault, async (signal) => {
        flow = await get("/api/v1/flow", null, signal);
        draw();
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
        endNeeds();
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

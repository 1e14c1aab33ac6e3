/*
 * feed - what happens now, and the health of the machine beside it.
 *
 * The relay sends at most so many events a second and says what it left out; the page keeps
 * the newest LINES, and draws them a few times a second, whatever comes. A pause keeps
 * reading (so that nothing stands in line at the relay) and counts what was passed over.
 */
import { Refusal, events } from "/api.js";
import { command, h, say, shape } from "/dom.js";
import { health } from "/health.js";
import { nothingYet } from "/needs.js";
import { clock, count, plural } from "/text.js";

const LINES = 200, DRAW_MS = 250;

const kinds = [["delivery", "deliveries"], ["refused", "refusals"], ["queued", "new mail"],
    ["verdict", "verdicts"], ["connect-failed", "failed connections"], ["login", "logins"],
    ["warning", "warnings"], ["note", "notes"]];
const alike = { verdict: ["verdict", "remark"], login: ["login", "login-failed"],
    warning: ["warning", "fatal", "lost"], note: ["note", "started", "stopped", "report"],
    queued: ["queued", "client", "message-id", "removed"] };

const marks = { sent: "good", deferred: "busy", bounced: "bad", expired: "bad", held: "kept" };

function markOf(e) {
    if (e.event === "delivery")
        return marks[e.status] ?? "plain";
    if (e.event === "refused" || e.event === "fatal")
        return "bad";
    return /warning|failed|lost/.test(e.event) ? "busy" : "plain";
}

const first = ["queue_id", "from", "to", "client", "relay", "status", "dsn"];
const aside = new Set(["event", "time", "daemon", "tag", "text"]);

/* The known members in a known order, then the others, then the words. */
function wordsOf(e) {
    const rest = Object.keys(e).filter((k) => !first.includes(k) && !aside.has(k));
    const facts = [...first.filter((k) => e[k] !== undefined), ...rest]
        .filter((k) => e[k] !== "" && e[k] !== null && typeof e[k] !== "object");

    return [facts.filter((k) => k !== "queue_id").map((k) =>
        [h("span", { class: "key" }, k + "="), String(e[k]) + " "]), e.text ?? ""];
}

function timeOf(e) {
    const ms = Date.parse(e.time);

    return clock((Number.isNaN(ms) ? Date.now() : ms) / 1000);
}

function line(e) {
    return h("li", { class: "event" },
        h("span", { class: "at" }, timeOf(e)),
        h("span", { class: "kind" }, shape(markOf(e)), e.event),
        h("span", { class: "words" }, e.queue_id && [h("a", {
            href: "#/message/" + encodeURIComponent(e.queue_id) }, e.queue_id), " "],
            wordsOf(e)));
}

export function open(main) {
    const list = h("ol");
    const box = h("div", { class: "feed", tabindex: "0", role: "log", "aria-live": "off",
                           "aria-label": "Events, the newest first" }, list);
    const sum = h("p", { class: "dim", role: "status" });
    const search = h("input", { type: "search", id: "match", autocomplete: "off",
                                spellcheck: "false", maxlength: 200 });
    const boxes = kinds.map(([value, label]) => h("label", { class: "choice" },
        h("input", { type: "checkbox", value, onchange: start }), " " + label));
    const pause = h("button", { type: "button", "data-key": "p", "aria-pressed": "false",
                                onclick: toggle }, "Pause");
    const foot = h("div", null, command("waypost", "follow"));
    const side = h("div", { class: "health" });
    let cut = new AbortController(), pending = [], missed = 0, left = 0, seen = 0;
    let isPaused = false, state = "";

    function summary() {
        say(sum, [state, plural(seen, "event"),
            left && `${count(left)} left out by the relay, which sends so many a second`,
            isPaused && `${count(missed)} passed over while paused`]
            .filter(Boolean).join(" · "));
    }
    function each(kind, object) {
        if (kind === "tick")
            return;
        if (kind === "omitted") {
            left += object.count ?? 0;
            return;
        }
        seen++;
        if (isPaused)
            missed++;
        else
            pending.push({ ...object, event: object.event ?? kind });
        if (pending.length > LINES)
            pending.splice(0, pending.length - LINES);
    }
    function draw() {
        summary();
        if (!pending.length || document.hidden)
            return;
        list.querySelector(".none")?.remove();
        list.prepend(...pending.reverse().map(line));
        pending = [];
        while (list.children.length > LINES)
            list.lastElementChild.remove();
    }
    function toggle() {
        isPaused = !isPaused;
        missed = 0;
        pause.setAttribute("aria-pressed", String(isPaused));
        say(pause, isPaused ? "Go on" : "Pause");
        summary();
    }
    async function start() {
        cut.abort();
        cut = new AbortController();
        const { signal } = cut, match = search.value.trim();
        const chosen = boxes.map((b) => b.firstElementChild).filter((b) => b.checked)
            .flatMap((b) => alike[b.value] ?? [b.value]);

        left = 0;
        pending = [];
        list.replaceChildren(h("li", { class: "none" }, nothingYet("What happens is told here " +
            "as it happens: mail that comes, is refused, delivered or put off.")));
        foot.replaceChildren(command("waypost", "follow",
            ...(chosen.length ? ["--kinds", chosen.join(",")] : []),
            ...(match ? ["--match", match] : [])));
        while (!signal.aborted) {
            try {
                await events({ kinds: chosen.join(","), match }, each, signal,
                    () => { state = "live"; });
                state = "the stream ended, asking again";
            } catch (e) {
                if (signal.aborted)
                    return;
                if (!(e instanceof Refusal) && !(e instanceof TypeError))
                    throw e;
                state = "not live: " + e.message;
            }
            await new Promise((done) => setTimeout(done, 2000));
        }
    }

    main.append(h("div", { class: "two" },
        h("section", { "aria-label": "Live feed" },
            h("form", { class: "row", onsubmit: (e) => {
                e.preventDefault();
                start();
            } }, h("label", { for: "match" }, "Only with"), search,
                h("button", { type: "submit" }, "Filter"), pause),
            h("fieldset", { class: "row" }, h("legend", { class: "unseen" }, "Kinds of events"),
                h("span", { class: "dim" }, "Only"), boxes),
            sum, box, foot),
        side));
    const ends = health(side);
    const timer = setInterval(draw, DRAW_MS);
    start();
    return () => {
        cut.abort();
        clearInterval(timer);
        ends();
    };
}

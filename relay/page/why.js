/*
 * why - "why is it stuck?": the way of a message to a domain, tried stage by stage.
 *
 * The relay answers a line for each thing it finds while it tries. What was met stands
 * beside how long it took, drawn to one scale.
 */
import { Refusal, stream } from "/api.js";
import { command, h, s, say, shape } from "/dom.js";
import { deed } from "/orders.js";
import { milliseconds } from "/text.js";

const marks = { ok: "good", warning: "busy", bad: "bad", info: "plain" };
const words = { ok: "good", warning: "look", bad: "bad", info: "" };
const BAR = 120;

function flat(detail) {
    return Object.entries(detail).map(([k, v]) => h("div", null, h("dt", null, k),
        h("dd", null, Array.isArray(v) ? v.map((x) => typeof x === "object"
            ? JSON.stringify(x) : String(x)).join("\n") : v !== null && typeof v === "object"
            ? JSON.stringify(v) : String(v))));
}

function bar() {
    return s("svg", { class: "bar", width: BAR, height: 8, "aria-hidden": "true" },
        s("rect", { class: "bed", width: BAR, height: 8 }),
        s("rect", { class: "fill", width: 0, height: 8 }));
}

function row(found) {
    return h("li", { class: "stage " + found.state, "data-ms": found.ms ?? 0 },
        shape(marks[found.state]),
        h("span", { class: "name" }, found.stage),
        h("span", { class: "took" }, found.ms === undefined ? "" : bar(),
            h("span", { class: "ms" }, found.ms === undefined ? "" : milliseconds(found.ms))),
        h("div", { class: "text" }, words[found.state] &&
            h("span", { class: "unseen" }, words[found.state] + ": "), found.text,
            found.detail && Object.keys(found.detail).length
                ? h("details", null, h("summary", null, "More"),
                    h("dl", { class: "facts wide" }, flat(found.detail))) : null));
}

/* One scale for all, so that the slow one is seen. */
function scale(list) {
    const all = [...list.children], most = Math.max(1, ...all.map((e) => Number(e.dataset.ms)));

    for (const e of all)
        e.querySelector(".fill")?.setAttribute("width",
            Math.max(1, Number(e.dataset.ms) / most * BAR).toFixed(1));
}

export function open(main, [name]) {
    const input = h("input", { type: "search", id: "word", autocomplete: "off", maxlength: 320,
                               spellcheck: "false", value: name ?? "" });
    const sum = h("p", { class: "lead", role: "status" });
    const list = h("ol", { class: "stages", "aria-label": "Stages" });
    const end = h("p", { class: "verdict", role: "status" });
    const foot = h("div", null, command("waypost", "dest", "probe", name || "NAME"));
    let cut = new AbortController();

    function each(found) {
        if (found.stage === "end") {
            end.className = "verdict " + found.state;
            end.replaceChildren(shape(marks[found.state]), h("span", null, found.text));
            return;
        }
        list.append(row(found));
        scale(list);
    }
    async function run() {
        const word = input.value.trim();

        if (!word) {
            input.focus();
            return;
        }
        cut.abort();
        cut = new AbortController();
        const { signal } = cut;
        list.replaceChildren();
        end.replaceChildren();
        end.className = "verdict";
        foot.replaceChildren(command("waypost", "dest", "probe", word));
        say(sum, `Trying ${word} …`);
        try {
            await stream("POST", "/api/v1/probe", { name: word }, each, signal);
            say(sum, `This is what was met on the way to ${word}.`);
        } catch (e) {
            if (signal.aborted)
                return;
            say(sum, "");
            if (!(e instanceof Refusal))
                throw e;
            end.className = "verdict bad";
            end.replaceChildren(shape("bad"), h("span", null, e.message));
        }
    }
    const go = deed("Find out", run);
    go.classList.add("strong");
    main.append(h("form", { class: "row", onsubmit: (event) => {
        event.preventDefault();
        go.click();
    } }, h("label", { for: "word" }, "Domain, address or destination"), input, go,
        h("span", { class: "dim" }, "nothing is sent; if it goes well, what waits is let go")),
        sum, list, end, foot);
    if (!name)
        say(sum, "Why is mail for it stuck? Route, queue, DNS, connection, TLS and login are " +
            "tried one after the other.");
    input.focus();
    return () => cut.abort();
}

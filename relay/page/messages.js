/*
 * messages - a list of waiting mail by one filter, and what may be done to all of it.
 *
 * A page at a time. Orders go to the filter and not to what is seen, so the count comes
 * first and is asked about.
 */
import { lines } from "/api.js";
import { breakable, command, h, moment, say, shape } from "/dom.js";
import { changeButtons } from "/orders.js";
import { count, size } from "/text.js";

const PAGE = 50;

const shapes = { active: "next", ready: "next", deferred: "busy", held: "kept", deleted: "bad" };

export function stateWord(state) {
    return h("span", { class: "state " + state }, shape(shapes[state]), state);
}

function rowOf(m) {
    const first = m.recipients[0] ?? {}, more = m.recipients.length - 1;
    const ordered = m.recipients.find((r) => r.ordered_by);
    const words = [ordered && `${ordered.state} by ${ordered.ordered_by}` +
        (ordered.ordered_why ? `: ${ordered.ordered_why}` : ""),
        m.recipients.find((r) => r.delay_reason)?.delay_reason].filter(Boolean).join("; ");

    return h("tr", null,
        h("th", { scope: "row", "data-label": "id" },
            h("a", { href: "#/message/" + encodeURIComponent(m.queue_id) }, m.queue_id)),
        h("td", { "data-label": "state" }, stateWord(m.state)),
        h("td", { "data-label": "came" }, moment(m.arrival_time)),
        h("td", { class: "number", "data-label": "size" }, size(m.message_size)),
        h("td", { class: "address", "data-label": "from" }, breakable(m.sender)),
        h("td", { class: "address", "data-label": "to" }, breakable(first.address ?? ""),
            more > 0 && h("span", { class: "dim" }, ` and ${count(more)} more`)),
        h("td", { class: "words", "data-label": "last words" }, words ?? ""));
}

export function table(rows, caption) {
    return h("table", { class: "list" }, h("caption", { class: "unseen" }, caption),
        h("thead", null, h("tr", null, ["id", "state", "came", "size", "from", "to",
            "last words"].map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", null, rows.map(rowOf)));
}

const options = (filter) => Object.entries(filter).flatMap(([k, v]) => ["--" + k, v]);

/* Fills place; answers how to end it. */
export function messages(place, filter, title) {
    const cut = new AbortController();
    const rows = h("div", { class: "rows" }), fault = h("p", { class: "fault", role: "alert" });
    const names = filter.state === "deleted" ? ["undelete"]
        : filter.state === "held" ? ["release", "delete", "bounce", "move"]
        : ["retry", "hold", "release", "delete", "bounce", "move"];
    const more = h("button", { type: "button", hidden: true, onclick: () => page() },
        "Show more");
    const whose = () => `(${title})`;
    let last, body = null;

    async function page() {
        try {
            const found = await lines("/api/v1/queue",
                { ...filter, limit: PAGE, after: last }, cut.signal);

            say(fault, "");
            if (body)
                body.append(...found.map(rowOf));
            else
                rows.replaceChildren(found.length ? table(found, title)
                    : h("p", { class: "dim" }, "There is none now."));
            body = rows.querySelector("tbody");
            last = found.at(-1)?.queue_id;
            more.hidden = found.length < PAGE;
        } catch (e) {
            if (!cut.signal.aborted)
                say(fault, e.message);
        }
    }
    function again() {
        last = undefined;
        body = null;
        page();
    }
    place.replaceChildren(h("h3", { tabindex: "-1" }, title),
        h("p", { class: "row", role: "group", "aria-label": "To all of these" },
            h("span", { class: "dim" }, "All of these:"),
            changeButtons(names, () => filter, whose)),
        fault, rows, more, command("waypost", "queue", "list", ...options(filter)));
    document.addEventListener("changed", again);
    page();
    return { end: () => {
        cut.abort();
        document.removeEventListener("changed", again);
    } };
}

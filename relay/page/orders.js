/*
 * orders - what an operator may change, always the same way: count, ask, do, tell.
 *
 * Every button that changes something is made by deed(), so that a token that may only read
 * finds them all off. After a change the document gets a "changed" event and the view that
 * is open looks again.
 */
import { lines, post } from "/api.js";
import { ask, tell } from "/dialogue.js";
import { h } from "/dom.js";
import { count, plural, size } from "/text.js";

let isReader = false;

export function setReader(value) {
    isReader = value;
    document.querySelectorAll("button.deed").forEach(allow);
}

/* One that is off says why. */
function allow(button) {
    button.disabled = isReader;
    if (isReader)
        button.title = "Your token may only read";
    else
        button.removeAttribute("title");
}

function changed() {
    document.dispatchEvent(new Event("changed"));
}

/* run() may fail: the reason is told. Never twice at once. */
export function deed(label, run, { danger = false, name } = {}) {
    let isRunning = false;
    const b = h("button", {
        type: "button", class: danger ? "deed danger" : "deed",
        "aria-label": name, onclick: async () => {
            if (isRunning)
                return;
            isRunning = true;
            b.setAttribute("aria-busy", "true");
            try {
                await run();
            } catch (e) {
                tell(e.message, { isBad: true });
            } finally {
                isRunning = false;
                b.removeAttribute("aria-busy");
            }
        } }, label);

    allow(b);
    return b;
}

/* What may be done to waiting mail: the word, what was done, and what else is asked. */
const kinds = {
    retry: { verb: "Retry", done: "due now" },
    hold: { verb: "Hold", done: "held", fields: whyFields },
    release: { verb: "Release", done: "released" },
    delete: { verb: "Delete", done: "deleted", danger: true, fields: whyFields,
              text: "It can be brought back for a day. No report is sent." },
    undelete: { verb: "Bring back", done: "brought back" },
    bounce: { verb: "Bounce", done: "returned to their senders", danger: true, fields: bounceFields,
              text: "Each sender gets a delivery report now. This cannot be undone." },
    move: { verb: "Move", done: "moved", fields: moveFields,
            text: "The mail goes by the route that you choose, whatever the settings say." },
};

async function bounceFields() {
    return [{ name: "why", label: "Reason", required: true, most: 200,
              value: "The mail cannot be delivered", hint: "stands in the report" }];
}

async function whyFields() {
    return [{ name: "why", label: "Why", most: 200, hint: "others will read it" }];
}

async function moveFields() {
    const routes = await lines("/api/v1/routes");

    return [{ name: "route", label: "Route", required: true, options: routes.map((r) =>
        [r.title, `${r.title}: ${(r.via ?? []).join(", ")}`]) }];
}

function sum(n) {
    return `${plural(n.messages, "message")}, ${plural(n.recipients, "recipient")}, ` +
        size(n.bytes);
}

/* Where it is waiting to go: the busiest first. */
function whereTo(n) {
    const all = n.destinations ?? [], more = (n.destination_count ?? 0) - all.length;

    if (!all.length)
        return [];
    return [h("ul", { class: "plain dim" }, all.map((d) =>
        h("li", null, `${count(d.recipients)} for ${d.name || "no destination yet"}`)),
        more > 0 && h("li", null, `and ${plural(more, "more destination")}`))];
}

/* Counts what `filter` means, asks, does it. whose: words for the person. */
export async function change(what, filter, whose) {
    const kind = kinds[what], path = "/api/v1/queue/" + what;
    const n = await post(path, { ...filter, ...(await placeholder(what)), preview: true });

    if (!n.messages) {
        tell(`There is nothing to ${kind.verb.toLowerCase()} ${whose}.`);
        return;
    }
    const answer = await ask({
        title: `${kind.verb} ${plural(n.messages, "message")}?`,
        text: [`${sum(n)} ${whose}.`, ...whereTo(n), ...(kind.text ? [kind.text] : [])],
        fields: await kind.fields?.() ?? [], yes: kind.verb, danger: kind.danger,
    });
    if (!answer)
        return;
    const done = await post(path, { ...filter, ...answer, yes: true,
                                    all: !Object.keys(filter).length });
    const left = done.being_sent
        ? ` ${plural(done.being_sent, "recipient")} being sent now: left alone.` : "";
    tell(`${plural(done.messages, "message")} ${kind.done}.${left}`, what === "delete" ? {
        label: "Bring back", run: () => change("undelete", back(filter), whose)
            .catch((e) => tell(e.message, { isBad: true })),
    } : {});
    changed();
}

/* A count needs no route yet, but the endpoint wants to see one. */
async function placeholder(what) {
    return what === "move" ? { route: (await lines("/api/v1/routes"))[0]?.title ?? "*" } : {};
}

/* What was deleted by the filter is in state deleted now. */
function back(filter) {
    return { ...filter, state: "deleted" };
}

export function changeButtons(names, filter, whose, label) {
    return names.map((n) => deed(kinds[n].verb, () => change(n, filter(), whose()),
        { danger: kinds[n].danger, name: label && `${kinds[n].verb} ${label}` }));
}

/* --- destinations --- */

async function order(what, body, done) {
    const answer = await post("/api/v1/destinations/" + what, body);

    tell(answer.skipped ? `${body.name} is suspended: resume it first.` : done,
        { isBad: Boolean(answer.skipped) });
    changed();
}

export async function suspend(name) {
    const answer = await ask({
        title: "Suspend " + name + "?",
        text: ["Nothing is sent there until it is resumed. Mail waits and can still expire."],
        fields: [
            { name: "until", label: "For", value: "2h", options: [["10min", "10 minutes"],
                ["30min", "30 minutes"], ["2h", "2 hours"], ["8h", "8 hours"], ["1d", "a day"],
                ["1w", "a week"], ["", "until somebody resumes it"]] },
            { name: "reason", label: "Why", required: true, hint: "others will read it" },
        ], yes: "Suspend",
    });

    if (answer)
        await order("suspend", { name, reason: answer.reason,
                                 ...(answer.until ? { until: answer.until } : {}) },
            name + " is suspended.");
}

export const resume = (name) => order("resume", { name }, name + " goes on.");
export const retry = (name) => order("retry", { name }, `All that waits for ${name} is due now.`);
export const probe = (name) => order("probe", { name }, name + " is being tried.");

/* Patterns: a name may look like one. */
export function exactly(name) {
    return name.replace(/[*?[]/g, "[$&]");
}

/* What waits for a destination. */
export const holdAll = (name) => change("hold", { via: exactly(name) }, "for " + name);

/* Waits until the provider has been asked. */
export async function fetchNow(name) {
    const f = await post("/api/v1/fetches/" + name.split("/").map(encodeURIComponent).join("/"));

    tell(`${name}: ${f.result || plural(f.messages, "message")}`, { isBad: f.ok === false });
    changed();
}


/*
 * page - what stands on every view: the head line, the way between views, the keys.
 *
 * A view is a module with a name, and open(main, words): it fills main and answers a
 * function that ends what it began. Which view it is stands behind the # of the address:
 * #/queue, #/message/01HF8M5XK3QZA. Nothing is drawn for a view that is not open.
 */
import { onTokenNeeded } from "/api.js";
import { ask, help } from "/dialogue.js";
import { h, say, shape, tick } from "/dom.js";
import { setReader } from "/orders.js";
import { troubles } from "/alarms.js";
import { absolute, span } from "/text.js";
import { onLook, watch } from "/watch.js";
import * as flow from "/flow.js";
import * as heat from "/heat.js";
import * as tiles from "/tiles.js";
import * as story from "/story.js";
import * as why from "/why.js";
import * as offline from "/offline.js";
import * as feed from "/feed.js";

const views = [
    ["flow", "Flow", flow], ["queue", "Queue", heat], ["destinations", "Destinations", tiles],
    ["message", "Message", story], ["why", "Why stuck?", why], ["offline", "Offline", offline],
    ["feed", "Live", feed],
];
const main = document.getElementById("main");
let end = null;

/* ------------------------------------------------------------- views ----- */

function words() {
    return location.hash.replace(/^#\/?/, "").split("/").map((w) => {
        try {
            return decodeURIComponent(w);
        } catch {
            return w;
        }
    });
}

function open(event) {
    const [name, ...rest] = words();
    const [, title, view] = views.find((v) => v[0] === name) ?? views[0];

    end?.();
    main.replaceChildren(h("h2", { id: "title", class: "title" }, title));
    main.setAttribute("aria-labelledby", "title");
    document.title = `${title} – Waypost`;
    for (const a of document.querySelectorAll("#views a"))
        a.toggleAttribute("aria-current", false);
    const here = document.querySelector(`#views a[href="#/${(name && views.find((v) =>
        v[0] === name)?.[0]) || views[0][0]}"]`);
    here.setAttribute("aria-current", "page");
    here.scrollIntoView({ block: "nearest", inline: "center" });
    document.body.dataset.view = here.dataset.view;
    end = view.open(main, rest);
    /* Somebody who came by a link reads on in the view. */
    if (event && document.activeElement?.closest("#views") === null &&
        !main.contains(document.activeElement))
        main.focus({ preventScroll: true });
}

/* --------------------------------------------------------- head line ----- */

const host = document.getElementById("host");
const alarm = document.getElementById("alarm");
const hostname = h("strong"), version = h("span"), up = h("time");

host.append(hostname, version, up);

/* The worst, and how many more; the first view tells of each. */
function showAlarms(list) {
    const text = list.map((a) => a.text).join("\n");

    if (alarm.dataset.text === text)
        return;
    alarm.dataset.text = text;
    alarm.className = list.length ? "alarm" : "calm";
    alarm.replaceChildren(...(list.length ? [
        h("a", { href: list[0].href, class: list[0].key ? "listed" : null }, shape("bad"),
            h("span", { class: "subject" }, list[0].who ?? ""), h("span", null, list[0].who
                ? list[0].text.slice(list[0].who.length) : list[0].text)),
        list.length > 1 && h("a", { href: "#/flow", class: "listed more" },
            h("span", { class: "roomy" }, "and "), `${list.length - 1} more`)].filter(Boolean)
        : [shape("good"), "nothing is wrong"]));
}

function showReader(role) {
    const notice = document.getElementById("notice");
    const isReader = role === "read";

    setReader(isReader);
    notice.hidden = !isReader;
    say(notice, isReader ? "Your token may only read, so the buttons that change something " +
        "are off. One that may: waypost token add NAME --role operator" : "");
}

function showHead({ status, fault, ...rest }) {
    if (fault) {
        showAlarms([{ text: fault, href: location.hash || "#/flow" }]);
        return;
    }
    say(hostname, status.hostname ?? location.hostname);
    say(version, "Waypost " + status.version);
    say(up, "up for " + span(status.uptime));
    up.title = "since " + absolute(Math.round(Date.now() / 1000 - status.uptime));
    showReader(status.role);
    showAlarms(troubles({ status, ...rest }).filter((t) => t.isLoud));
}

/* -------------------------------------------------- theme, keys, token --- */

const themes = ["", "light", "dark"];
const themeNames = { "": "system", light: "light", dark: "dark" };
const themeButton = document.getElementById("theme");

function showTheme() {
    const name = themeNames[document.documentElement.dataset.theme ?? ""];

    themeButton.replaceChildren(h("span", { class: "roomy" }, "Theme: "), name);
    themeButton.setAttribute("aria-label", "Theme: " + name);
}

function nextTheme() {
    const root = document.documentElement;
    const next = themes[(themes.indexOf(root.dataset.theme ?? "") + 1) % themes.length];

    if (next)
        root.dataset.theme = next;
    else
        delete root.dataset.theme;
    keep("waypost.theme", next);
    showTheme();
}

function keep(key, value) {
    try {
        localStorage.setItem(key, value);
    } catch {
        /* then it holds until the page is left */
    }
}

function kept(key) {
    try {
        return localStorage.getItem(key);
    } catch {
        return null;
    }
}

let keysAreOn = kept("waypost.keys") !== "off";

function showHelp() {
    help(views.map((v) => v[1]), keysAreOn, (on) => {
        keysAreOn = on;
        keep("waypost.keys", on ? "on" : "off");
    });
}

function onKey(event) {
    const e = event.target;

    if (!keysAreOn || event.ctrlKey || event.altKey || event.metaKey || e.isContentEditable ||
        /^(INPUT|SELECT|TEXTAREA)$/.test(e.tagName) || document.querySelector("dialog[open]"))
        return;
    if (/^[1-7]$/.test(event.key))
        location.hash = "#/" + views[Number(event.key) - 1][0];
    else if (event.key === "/")
        main.querySelector("input[type=search]")?.focus();
    else if (event.key === "p")
        main.querySelector("button[data-key=p]")?.click();
    else if (event.key === "t")
        nextTheme();
    else if (event.key === "?")
        showHelp();
    else
        return;
    event.preventDefault();
}

onTokenNeeded(async (reason) => {
    const answer = await ask({
        title: "Token",
        text: [...(reason ? ["The relay did not take the token: " + reason] : []),
               "It is kept for this tab alone, and gone when the tab is closed."],
        fields: [{ name: "token", label: "Token", type: "password", required: true,
                   hint: "made by: waypost token add NAME --role read" }],
        yes: "Go on",
    });

    return answer?.token ?? null;
});

document.getElementById("views").append(...views.map(([name, title], i) =>
    h("li", null, h("a", { href: "#/" + name, "data-view": name }, title,
        h("kbd", { "aria-hidden": "true" }, String(i + 1))))));
themeButton.addEventListener("click", nextTheme);
document.getElementById("help").addEventListener("click", showHelp);
document.querySelector("a.skip").addEventListener("click", (event) => {
    event.preventDefault(); /* the # belongs to the views */
    main.focus();
});
document.addEventListener("keydown", onKey);
addEventListener("hashchange", open);
showTheme();
open();
onLook(showHead);
watch();
setInterval(tick, 1000);

/*
 * dom - elements without markup.
 *
 * h() makes HTML elements and s() SVG ones. Every string becomes a text node and passes
 * through visible(), so nothing that a stranger wrote is ever parsed. There is no way here
 * to set markup or a style attribute, and the page's content policy forbids both.
 */
import { absolute, parts, relative, visible } from "/text.js";

const SVG = "http://www.w3.org/2000/svg";

function add(element, child) {
    if (Array.isArray(child))
        child.forEach((c) => add(element, c));
    else if (child instanceof Node)
        element.append(child);
    else if (child !== null && child !== undefined && child !== false)
        element.append(visible(child));
}

/* Attributes; a value of false, null or nothing is left out. */
export function dress(element, attributes) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
        if (value === null || value === undefined || value === false)
            continue;
        if (name.startsWith("on"))
            element.addEventListener(name.slice(2), value);
        else if (name === "value" || name === "checked")
            element[name] = value;
        else
            element.setAttribute(name, value === true ? "" : visible(value));
    }
}

export function h(tag, attributes, ...children) {
    const element = document.createElement(tag);

    dress(element, attributes);
    add(element, children);
    return element;
}

export function s(tag, attributes, ...children) {
    const element = document.createElementNS(SVG, tag);

    dress(element, attributes);
    add(element, children);
    return element;
}

/* Only where it differs: what stays the same does not flicker, and keeps a selection. */
export function say(element, text) {
    const clean = visible(text);

    if (element.textContent !== clean)
        element.textContent = clean;
}

/* A long name is broken behind a dot rather than within a word. */
export function breakable(name) {
    return visible(name).split(/(?<=[.@/])(?=.)/).flatMap((part, i) =>
        i ? [h("wbr"), part] : [part]);
}

/* A destination: its host, and smaller how it is reached. */
export function nameOf(name) {
    const { host, how } = parts(name);

    return [h("bdi", { class: "host" }, breakable(host)),
            how && h("span", { class: "how" }, how)];
}

/* A moment: relative, with the absolute behind it; tick() keeps it true. */
export function moment(seconds, never = "never") {
    const e = h("time");

    setMoment(e, seconds, never);
    return e;
}

export function setMoment(e, seconds, never = "never") {
    if (!seconds) {
        delete e.dataset.at;
        e.removeAttribute("title");
        say(e, never);
        return;
    }
    e.dataset.at = seconds;
    e.setAttribute("datetime", new Date(seconds * 1000).toISOString());
    e.setAttribute("title", absolute(seconds));
    say(e, relative(seconds));
}

export function tick() {
    for (const e of document.querySelectorAll("time[data-at]"))
        say(e, relative(Number(e.dataset.at)));
}

/*
 * Makes parent's children those of `items`, in order; a child is known by its key and is
 * brought up to date instead of being made again, so that focus stays where it was.
 */
export function keyed(parent, items, key, make, update) {
    const old = new Map([...parent.children].map((c) => [c.dataset.key, c]));
    let at = parent.firstElementChild;

    for (const item of items) {
        const name = String(key(item));
        let child = old.get(name);

        if (!child) {
            child = make(item);
            child.dataset.key = name;
        }
        old.delete(name);
        update?.(child, item);
        if (child === at)
            at = at.nextElementSibling;
        else
            parent.insertBefore(child, at);
    }
    for (const gone of old.values())
        gone.remove();
}

/* What state something is in is told by a shape and a word; colour only repeats it. */
const shapes = {
    good: "M8 2a6 6 0 1 0 .01 0z",
    busy: "M8 2 14.5 13.5h-13z",
    stopped: "M3 2.5h3.6v11H3zM9.4 2.5H13v11H9.4z",
    away: "M10.5 2.2A6 6 0 1 0 13.8 10 5 5 0 0 1 10.5 2.2z",
    bad: "M4.2 2 8 5.8 11.8 2 14 4.2 10.2 8l3.8 3.8-2.2 2.2L8 10.2 4.2 14 2 11.8 5.8 8 2 4.2z",
    next: "M8 1.5 14.5 8 8 14.5 1.5 8z",
    plain: "M8 2a6 6 0 1 0 .01 0zm0 2.2a3.8 3.8 0 1 1-.01 0z",
    kept: "M2.5 6.5h11V14h-11zM5 6.5V5a3 3 0 0 1 6 0v1.5H9V5a1 1 0 0 0-2 0v1.5z",
};

export function shape(name) {
    return s("svg", { class: "shape " + name, viewBox: "0 0 16 16", width: 14, height: 14,
                      "aria-hidden": "true", focusable: "false" },
        s("path", { d: shapes[name] ?? shapes.plain, "fill-rule": "evenodd" }));
}

/* The command that tells the same, at the foot of a picture. */
export function command(...words) {
    const text = words.map((w) => /^[\w@%+=:,./-]+$/.test(w)
        ? w : "'" + String(w).replaceAll("'", "'\\''") + "'").join(" ");
    const done = h("span", { class: "copied", role: "status" });

    return h("p", { class: "command" }, h("span", { class: "dim" }, "In a terminal "),
        h("code", null, text),
        h("button", { type: "button", class: "small", "aria-label": "Copy the command " + text,
            onclick: async () => {
                const was = await copy(text);
                done.textContent = was ? "copied" : "select it and copy by hand";
                setTimeout(() => { done.textContent = ""; }, 2000);
            } }, "Copy"), done);
}

/* The clipboard is there only over TLS or on loopback. */
async function copy(text) {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        const area = h("textarea", { class: "unseen", "aria-hidden": "true", value: text });
        const before = document.activeElement;

        document.body.append(area);
        area.select();
        const was = document.execCommand("copy");
        area.remove();
        before?.focus();
        return was;
    }
}

/*
 * Arrow keys move in a grid (or list) of which only one element is in the order of Tab.
 * rows(): arrays of elements as they are seen, holes allowed.
 */
export function roving(container, rows) {
    const all = () => rows().flat().filter(Boolean);
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

    function mark(element) {
        for (const e of all())
            e.tabIndex = e === element ? 0 : -1;
    }
    function next(grid, y, x, [dy, dx]) {
        for (;;) {
            y += dy;
            x += dx;
            if (y < 0 || y >= grid.length || x < 0 || x > 40)
                return null;
            if (grid[y][x])
                return grid[y][x];
            /* up and down find the nearest of a row */
            if (dy) {
                const near = grid[y].map((e, i) => [e, Math.abs(i - x)]).filter(([e]) => e)
                    .sort((a, b) => a[1] - b[1])[0];
                if (near)
                    return near[0];
            }
        }
    }
    container.addEventListener("keydown", (event) => {
        const grid = rows(), y = grid.findIndex((r) => r.includes(document.activeElement));
        let to = null;

        if (y < 0 || event.ctrlKey || event.altKey || event.metaKey)
            return;
        if (moves[event.key])
            to = next(grid, y, grid[y].indexOf(document.activeElement), moves[event.key]);
        else if (event.key === "Home")
            to = grid[y].find(Boolean);
        else if (event.key === "End")
            to = grid[y].findLast(Boolean);
        else
            return;
        event.preventDefault();
        if (to) {
            mark(to);
            to.focus();
        }
    });
    container.addEventListener("focusin", (event) => {
        if (all().includes(event.target))
            mark(event.target);
    });
    return () => {
        const list = all();

        if (list.length && !list.some((e) => e.tabIndex === 0))
            list[0].tabIndex = 0;
    };
}

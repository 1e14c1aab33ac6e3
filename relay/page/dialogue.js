/*
 * dialogue - what is asked of the person, and what they are told.
 *
 * The browser's own <dialog>: it keeps focus inside, Escape ends it, and focus goes back to
 * where it was. One at a time; the answer is a promise.
 */
import { h } from "/dom.js";

/*
 * fields: [{ name, label, type | options, value, required, hint }]; answers an object of
 * what was filled in, or null. A field that must be filled in keeps the dialogue open.
 */
export function ask({ title, text = [], fields = [], yes, no = "Cancel", danger = false }) {
    return new Promise((resolve) => {
        const inputs = fields.map(makeField);
        const fault = h("p", { class: "fault", role: "alert" });
        const form = h("form", { novalidate: true },
            h("h2", { id: "dialogue-title" }, title),
            text.map((t) => t instanceof Node ? t : h("p", null, t)),
            inputs.map((i) => i.row), fault,
            h("p", { class: "row end" },
                h("button", { type: "button", onclick: () => d.close() }, no),
                h("button", { type: "submit", class: danger ? "danger" : "strong" }, yes)));
        const d = h("dialog", { "aria-labelledby": "dialogue-title" }, form);
        let answer = null;

        form.addEventListener("submit", (event) => {
            event.preventDefault();
            const missing = inputs.find((i) => i.required && !i.input.value.trim());
            if (missing) {
                fault.textContent = missing.label + " is needed.";
                missing.input.focus();
                return;
            }
            answer = Object.fromEntries(inputs.map((i) => [i.name, i.input.value.trim()]));
            d.close();
        });
        d.addEventListener("close", () => {
            d.remove();
            resolve(answer);
        });
        document.body.append(d);
        d.showModal();
        (inputs[0]?.input ?? form.querySelector("button")).focus();
    });
}

function makeField(f) {
    const id = "field-" + f.name;
    const input = f.options
        ? h("select", { id }, f.options.map(([value, label]) =>
            h("option", { value, selected: value === f.value }, label)))
        : h("input", { id, type: f.type ?? "text", value: f.value ?? "", autocomplete: "off",
                       spellcheck: "false", maxlength: f.most ?? 500,
                       "aria-describedby": f.hint && id + "-hint" });

    return { ...f, input, row: h("p", { class: "field" },
        h("label", { for: id }, f.label), input,
        f.hint && h("span", { class: "dim", id: id + "-hint" }, f.hint)) };
}

/* One sentence at the foot of the page, with at most one thing to do about it. It stays until
 * the next, so that nobody has to be quick. */
export function tell(text, { isBad = false, label, run } = {}) {
    const place = document.getElementById("said");

    place.replaceChildren(h("p", { class: isBad ? "said bad" : "said" },
        h("span", null, (isBad ? "Not done: " : "") + text),
        run && h("button", { type: "button", class: "strong", onclick: run }, label),
        h("button", { type: "button", class: "small", "aria-label": "Dismiss",
            onclick: () => place.replaceChildren() }, "Dismiss")));
}

/* What the letters do; each of them can be had without them. */
export function help(views, areOn, turn) {
    const rows = [
        ...views.map((v, i) => [String(i + 1), v]),
        ["/", "to the view's search or filter"], ["p", "pause or go on (live feed)"],
        ["t", "light, dark, or as the system has it"], ["?", "this list"],
        ["Tab", "from one thing to the next; arrows within a table, Enter opens"],
        ["Esc", "close"],
    ];
    const d = h("dialog", { "aria-labelledby": "dialogue-title" },
        h("form", { onsubmit: (e) => { e.preventDefault(); d.close(); } },
            h("h2", { id: "dialogue-title" }, "Keys"),
            h("dl", { class: "keys" }, rows.map(([key, what]) =>
                h("div", null, h("dt", null, h("kbd", null, key)), h("dd", null, what)))),
            h("p", null, h("label", null, h("input", { type: "checkbox", checked: areOn,
                onchange: (e) => turn(e.target.checked) }), " Single keys are on")),
            h("p", { class: "row end" }, h("button", { type: "submit", class: "strong" },
                "Close"))));

    d.addEventListener("close", () => d.remove());
    document.body.append(d);
    d.showModal();
}

/*
 * text - words and figures as a person reads them.
 *
 * Text of strangers comes with whatever bytes they liked. Nothing here makes markup;
 * visible() also takes away what would steer the eye: control characters, marks that turn
 * the direction of writing, and characters without width become escapes that can be seen.
 */

const HIDDEN = new RegExp(
    "[\\u0000-\\u001f\\u007f-\\u00a0\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5" +
    "\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000\\u3164" +
    "\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\uffff\\ud800-\\udfff" +
    "\\u{e0000}-\\u{e0fff}]", "gu");

function escaped(c) {
    const n = c.codePointAt(0);

    if (n === 9)
        return "\\t";
    if (n === 10)
        return "\\n";
    if (n === 13)
        return "\\r";
    if (n < 256)
        return "\\x" + n.toString(16).toUpperCase().padStart(2, "0");
    return "\\u{" + n.toString(16).toUpperCase() + "}";
}

/* One line, with nothing in it that is not seen. */
export function visible(value) {
    return String(value ?? "").replace(HIDDEN, escaped);
}

/* Line ends stay: for headers and dialogues. */
export function visibleLines(value) {
    return String(value ?? "").replace(/\r\n/g, "\n").replace(HIDDEN,
        (c) => c === "\n" ? c : c === "\t" ? "    " : escaped(c));
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/* 12,345 */
export function count(n) {
    return whole.format(n ?? 0);
}

/* At most four characters and a letter, for places that are small. */
export function short(n) {
    n = n ?? 0;
    for (const [limit, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
        if (n >= limit * (limit === 1e3 ? 10 : 1))
            return (n / limit).toFixed(n < limit * 100 ? 1 : 0) + letter;
    }
    return String(Math.round(n));
}

/* Per second: 0, 0.4, 12, 1,234 */
export function rate(n) {
    n = n ?? 0;
    if (n === 0)
        return "0";
    return n < 10 ? n.toFixed(n < 0.1 ? 2 : 1) : whole.format(n);
}

/* A destination's name in two parts: where, and how it is reached. */
export function parts(name) {
    const [, scheme, host, port, rest] =
        /^([a-z]+):(?:\/\/)?(\[[^\]]*\]|\/\S*|[^\s:]+)(?::(\d+))?(?:\s+(.*))?$/.exec(name) ?? [];

    return host === undefined ? { host: name, how: "" }
        : { host, how: [scheme, port && "port " + port, rest].filter(Boolean).join(", ") };
}

export function plural(n, one, many = one + "s") {
    return count(n) + " " + (n === 1 ? one : many);
}

export function size(bytes) {
    let n = bytes ?? 0;

    for (const unit of ["bytes", "KB", "MB", "GB"]) {
        if (n < 1000)
            return (unit === "bytes" || n >= 100 ? Math.round(n) : n.toFixed(1)) + " " + unit;
        n /= 1024;
    }
    return n.toFixed(1) + " TB";
}

/* 42 s, 5 min, 3 h, 4 d */
export function span(seconds) {
    const s = Math.max(0, seconds);

    if (s < 120)
        return Math.round(s) + " s";
    if (s < 7200)
        return Math.floor(s / 60) + " min";
    return s < 172800 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " d";
}

export function milliseconds(ms) {
    if (ms === null || ms === undefined || ms < 0)
        return "not known";
    if (ms < 1000)
        return (ms < 10 ? ms.toFixed(1) : Math.round(ms)) + " ms";
    return ms < 60000 ? (ms / 1000).toFixed(1) + " s" : span(ms / 1000);
}

/* 2026-11-22 08:30:05 +01:00, in the reader's own zone */
export function absolute(seconds) {
    const d = new Date(seconds * 1000), two = (n) => String(n).padStart(2, "0");
    const zone = -d.getTimezoneOffset(), far = Math.abs(zone);

    return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ` +
        `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())} ` +
        `${zone < 0 ? "-" : "+"}${two(Math.floor(far / 60))}:${two(far % 60)}`;
}

export function clock(seconds) {
    return absolute(seconds).slice(11, 19);
}

export function relative(seconds, now = Date.now() / 1000) {
    const away = seconds - now;

    if (Math.abs(away) < 2)
        return "now";
    return away > 0 ? "in " + span(away) : span(-away) + " ago";
}

/*
 * api - questions to the relay that sent this page, and to nobody else.
 *
 * Over TCP the relay wants a token. It is asked for once, kept for this tab alone
 * (sessionStorage) and sent as a header, never in an address; so the stream of events is
 * read by fetch too. A 401 asks again, and the question is then put again.
 */

const KEPT = "waypost.token", SHARE = 10;

let token = "";
let asking = null;
let askPerson = null;

try {
    token = sessionStorage.getItem(KEPT) ?? "";
} catch {
    /* without storage the token lasts until a reload */
}

/* ask(reason) -> the token, or null when the person will not say. */
export function onTokenNeeded(ask) {
    askPerson = ask;
}

/* One dialogue for all questions that met a 401 meanwhile. */
async function wantToken(reason) {
    asking ??= (async () => {
        const given = await askPerson(reason);

        if (given !== null) {
            token = given.trim();
            try {
                sessionStorage.setItem(KEPT, token);
            } catch {
                /* as above */
            }
        }
        return given !== null;
    })().finally(() => { asking = null; });
    return asking;
}

export class Refusal extends Error {
    constructor(status, text) {
        super(text);
        this.status = status;
    }
}

async function reason(response) {
    try {
        return (await response.json()).error ?? response.statusText;
    } catch {
        return response.statusText || "HTTP " + response.status;
    }
}

/* The response, once it is a good one. */
async function ask(method, path, body, signal) {
    for (;;) {
        const used = token;
        let response;

        try {
            response = await fetch(path, {
                method, signal, cache: "no-store", credentials: "omit", redirect: "error",
                headers: {
                    ...(token ? { Authorization: "Bearer " + token } : {}),
                    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
                },
                body: body === undefined ? undefined : JSON.stringify(body),
            });
        } catch (e) {
            if (signal?.aborted)
                throw e;
            throw new Refusal(0, "the relay does not answer");
        }
        if (response.ok)
            return response;
        const why = await reason(response);
        if (response.status !== 401)
            throw new Refusal(response.status, why);
        if (token === used && !await wantToken(used ? why : ""))
            throw new Refusal(401, why);
    }
}

function withQuery(path, query) {
    const q = new URLSearchParams();

    for (const [key, value] of Object.entries(query ?? {})) {
        if (value !== undefined && value !== null && value !== "")
            q.set(key, value);
    }
    return q.size ? path + "?" + q : path;
}

export async function get(path, query, signal) {
    return (await ask("GET", withQuery(path, query), undefined, signal)).json();
}

export async function getText(path, most, signal) {
    const response = await ask("GET", path, undefined, signal);
    const reader = response.body.getReader();
    const parts = [];
    let n = 0;

    for (;;) {
        const { done, value } = await reader.read();

        if (done)
            return { bytes: await new Blob(parts).arrayBuffer(), whole: true };
        parts.push(value);
        if ((n += value.length) >= most) {
            reader.cancel();
            return { bytes: await new Blob(parts).arrayBuffer(), whole: false };
        }
    }
}

export async function post(path, body = {}) {
    return (await ask("POST", path, body)).json();
}

/* Calls each(line) with every line as it comes. */
async function eachLine(response, each) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";

    for (;;) {
        const { done, value } = await reader.read();

        if (done)
            break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines)
            each(line);
    }
    if (rest)
        each(rest);
}

/* One JSON object a line. A fault in the middle comes as a line of its own. */
export async function lines(path, query, signal) {
    const rows = [];

    await stream("GET", withQuery(path, query), undefined, (row) => rows.push(row), signal);
    return rows;
}

export async function stream(method, path, body, each, signal) {
    await eachLine(await ask(method, path, body, signal), (line) => {
        if (!line.trim())
            return;
        const row = JSON.parse(line);
        if (row.error !== undefined && Object.keys(row).length === 1)
            throw new Refusal(500, row.error);
        each(row);
    });
}

/* Server-sent events: each(kind, object), until the signal or the other end ends it. */
export async function events(query, each, signal, opened) {
    let kind = "message", data = [];
    const response = await ask("GET", withQuery("/api/v1/events", query), undefined, signal);

    opened?.();
    await eachLine(response, (raw) => {
        const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;

        if (line === "") {
            if (data.length)
                each(kind, JSON.parse(data.join("\n")));
            kind = "message";
            data = [];
        } else if (line.startsWith("event:")) {
            kind = line.slice(6).trim();
        } else if (line.startsWith("data:")) {
            data.push(line.slice(line[5] === " " ? 6 : 5));
        }
    });
}

/* Runs step() now and each so many ms while the page is seen, less often where the answer takes
 * long, so that looking costs the relay little; answers how to end it. */
export function every(ms, step) {
    const cut = new AbortController();
    let timer = 0;

    async function turn() {
        const began = Date.now();

        clearTimeout(timer);
        try {
            if (!document.hidden)
                await step(cut.signal);
        } catch (e) {
            if (!cut.signal.aborted && !(e instanceof Refusal))
                throw e;
        } finally {
            clearTimeout(timer);
            if (!cut.signal.aborted)
                timer = setTimeout(turn, Math.max(ms, SHARE * (Date.now() - began)));
        }
    }
    function seen() {
        if (!document.hidden)
            turn();
    }
    document.addEventListener("visibilitychange", seen);
    cut.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        document.removeEventListener("visibilitychange", seen);
    });
    turn();
    return { end: () => cut.abort(), now: turn };
}

/*
 * relay - the relay under the page, asked beside it: its API and its SMTP port.
 */
import net from "node:net";

const config = JSON.parse(process.env.WAYPOST_PAGE);

export const { base, tokens } = config;
export { config };

async function ask(method, path, body) {
    const response = await fetch(base + path, {
        method, headers: { Authorization: "Bearer " + tokens.operator,
                           ...(body ? { "Content-Type": "application/json" } : {}) },
        body: body && JSON.stringify(body) });
    const text = await response.text();

    if (!response.ok)
        throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text;
}

export async function rows(path, query = {}) {
    const text = await ask("GET", path + "?" + new URLSearchParams(query));

    return text.split("\n").filter(Boolean).map((l) => JSON.parse(l));
}

export const waiting = (query) => rows("/api/v1/queue", query);

export async function destination(name) {
    return (await rows("/api/v1/destinations")).find((d) => d.name.startsWith(name));
}

/* Asks until it is so. */
export async function until(question, what, ms = 30000) {
    const end = Date.now() + ms;
    let last;

    for (;;) {
        if ((last = await question()))
            return last;
        if (Date.now() > end)
            throw Object.assign(new Error(`not within ${ms} ms: ${what}`),
                                { name: "TimeoutError" });
        await new Promise((done) => setTimeout(done, 50));
    }
}

/* One message over SMTP; answers the last reply. */
export function mail(from, to) {
    const says = ["EHLO walk.test", `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, "DATA",
                  "Subject: walk\r\n\r\nhello\r\n.", "QUIT"];

    return new Promise((resolve, reject) => {
        const s = net.connect(config.smtp, "127.0.0.1");
        let text = "", reply = "";

        s.setEncoding("latin1");
        s.on("data", (data) => {
            text += data;
            let at;
            while ((at = text.indexOf("\r\n")) >= 0) {
                const line = text.slice(0, at);
                text = text.slice(at + 2);
                if (line[3] === "-")
                    continue;
                if (says.length === 1)
                    reply = line;
                if (says.length)
                    s.write(says.shift() + "\r\n");
            }
        });
        s.on("error", reject);
        s.on("close", () => resolve(reply));
    });
}

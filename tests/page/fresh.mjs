/*
 * fresh - the page of a relay that has had no mail yet, and what only rarely is seen: many
 * attempts, names of every kind, forced colours, type of twice the size, a relay that is gone.
 *
 * Prints as walk.mjs does; started by tests/peers/test_page_fresh.py. The API's answers to
 * some questions are made up here.
 */
import { go, launch, overflow, serious, tab, token, violations } from "./browser.mjs";
import { base, config, mail, tokens } from "./relay.mjs";
import { equal, stepper, views } from "./steps.mjs";

const faults = [];
const browser = await launch();
const page = await tab(browser, base, faults);
const step = stepper(browser, faults);

await page.goto(base + "/");
await token(page, tokens.operator);
await page.locator("svg.river").waitFor();

await step("nothing needs you", async () => {
    await page.getByText("Nothing needs you").waitFor();
    await page.getByText("latest commit").waitFor();
    await page.locator(".strip").getByText("none is set").waitFor();
    equal(await page.locator(".need").count(), 0, "troubles");
});

await step("what to do first", async () => {
    const line = `swaks --server 127.0.0.1:${config.smtp}`;

    for (const view of ["flow", "queue", "destinations", "feed"]) {
        await go(page, base, view);
        await page.locator(".first").getByText(line).waitFor();
    }
    await go(page, base, "offline");
    await page.getByText("No host is waited for").waitFor();
    await go(page, base, "message");
    await page.getByText("A message is told from its arrival").waitFor();
    await go(page, base, "why");
    await page.getByText("Why is mail for it stuck?").waitFor();
    const found = [];
    for (const view of views) {
        await go(page, base, view);
        found.push(...(await serious(page)).map((f) => `${view}: ${f}`));
    }
    equal(found, [], "faults");
});

await step("the first message", async () => {
    await go(page, base, "flow");
    await page.locator(".first").getByText("swaks").waitFor();
    await mail("a@from.test", "r@up.test");
    await page.locator(".first").getByText("swaks").waitFor({ state: "detached",
        timeout: 30000 });
});

await step("troubles", async () => {
    const all = await page.evaluate(async () => (await import("/alarms.js")).troubles({
        status: { queue: { messages_held: 1 }, lag_ms_recent: 0 },
        system: { disk: { free_bytes: 10, reserve_bytes: 20 },
                  certificates: [{ days: 12, names: ["a.test"], file: "f" },
                                 { days: 1, names: ["b.test"], file: "f" }] },
        list: [{ name: "smtp://up.test:25", state: "up", waiting: 900, last_reply: "250 ok" },
               { name: "smtp://later.test:25", state: "up", waiting: 900, last_reply: "451 no" },
               { name: "smtp://few.test:25", state: "backing-off", waiting: 2, reason: "4.4.1" },
               { name: "pickup:branch", state: "offline", waiting: 500 },
               ...[1, 2, 3, 4, 5].map((n) => ({ name: `smtp://s${n}.test`, state: "suspended",
                   waiting: 100 + n, reason: "4.3.2 suspended by the operator: for Ada" }))],
    }).map((t) => `${t.isLoud ? "!" : ""}${t.mark} ${t.text}${t.words ? ": " + t.words : ""}`));

    equal(all, ["!bad Disk full: 10 bytes free, under the reserve; no mail is accepted",
        ...[5, 4, 3, 2, 1].map((n) => `!stopped s${n}.test is suspended, 10${n} wait: for Ada`),
        "busy 2 more destinations in trouble",
        "!busy A certificate ends in 12 days (a.test)",
        "!bad A certificate ends in 1 day (b.test)",
        "kept 1 message is held until somebody looks"], "told");
});

await step("names", async () => {
    equal(await page.evaluate(async () => {
        const { parts } = await import("/text.js");
        return ["smtp://smtp.partner.example.org:25 tls=verify", "smtps://[::1]:465",
                "pickup:branch", "lmtp:/run/dovecot/lmtp", "example.org", "a b"].map((n) =>
            [parts(n).host, parts(n).how]);
    }), [["smtp.partner.example.org", "smtp, port 25, tls=verify"], ["[::1]", "smtps, port 465"],
         ["branch", "pickup"], ["/run/dovecot/lmtp", "lmtp"], ["example.org", ""], ["a b", ""]],
    "in two parts");
});

await step("many attempts are folded", async () => {
    const at = 1700000000, id = "0CR6WZNQ3AAG0";
    const tries = Array.from({ length: 40 }, (_, i) => ({ at: at + 60 * i, host: "mx.test",
        status: "4.7.1", reply: "451 4.7.1 later" }));

    await page.route("**/api/v1/queue/" + id, (route) => route.fulfill({ json: {
        queue_id: id, state: "deferred", sender: "a@from.test", message_size: 1,
        arrival_time: at, recipients: [{ address: "r@to.test", state: "deferred", tries }] } }));
    await page.route("**/api/v1/history?*", (route) => route.fulfill({ body: "" }));
    await go(page, base, "message/" + id);
    await page.getByText("37 more attempts in 36 min").waitFor();
    equal(await page.locator(".timeline h4:visible").filter({ hasText: "Attempt" }).count(), 3,
        "seen");
    await page.getByText("37 more attempts").click();
    equal(await page.locator(".timeline h4:visible").filter({ hasText: "Attempt" }).count(), 40,
        "unfolded");
    await page.unrouteAll();
});

/* Rows that nobody would choose, in every width. */
await step("strange names", async () => {
    const odd = ["xn--bcher-kva.example", "bücher.example", "メール.例え.example",
        "\u05d3\u05d5\u05d0\u05e8.example", "\u202eevil\u2066.example", "\x1b[2J.example",
        `${"a".repeat(63)}.${"b".repeat(63)}.example`];
    const names = Array.from({ length: 200 }, (_, i) => odd[i] ?? `d${i}.example`);

    for (const options of [{}, { isMobile: true, hasTouch: true,
        viewport: { width: 360, height: 740 } }, { viewport: { width: 640, height: 450 } },
        { forcedColors: "active" }]) {
        const p = await tab(browser, base, faults, options);
        await p.route("**/api/v1/queue/heat*", (route) => route.fulfill({ json: {
            bounds_min: [5, 10, 20, 40, 80, 160, 320, 640, 1280], complete: true, total: 1e6,
            at_ms: Date.now(), cells: [], rows: names.map((domain, i) => ({ domain,
                total: 99999 - i, cells: Array(10).fill(9999 - i) })) } }));
        await p.route("**/api/v1/destinations*", (route) => route.fulfill({
            body: names.slice(0, 20).map((n) => JSON.stringify({ name: `smtp://${n}:25 tls=verify`,
                state: "backing-off", waiting: 99999, waiting_bytes: 1, open: 0, window: 5,
                reason: n })).join("\n") }));
        await p.goto(base + "/");
        await token(p, tokens.operator);
        for (const view of ["flow", "queue", "destinations"]) {
            await go(p, base, view);
            await p.locator(".need, .heatrow .link, article").first().waitFor();
            const text = await p.locator("main").innerText();
            if (/[\u001b\u202a-\u202e\u2066-\u2069]/.test(text))
                throw new Error("hidden characters in " + view);
            equal([...await overflow(p), ...await violations(p)], [], "sticks out in " + view);
        }
        await p.context().close();
    }
});

/* On a phone the head takes a quarter of the screen at most, and no tab is out of reach. */
await step("the head of a phone", async () => {
    const p = await tab(browser, base, faults, { isMobile: true, hasTouch: true,
        viewport: { width: 360, height: 740 } });
    await p.route("**/api/v1/destinations*", (route) => route.fulfill({
        body: ["smtp.a-very-long-name.partner.example", "b.example"].map((n) => JSON.stringify({
            name: `smtp://${n}:25`, state: "suspended", waiting: 500 })).join("\n") }));
    await p.goto(base + "/#/queue");
    await token(p, tokens.operator);
    await p.locator("#alarm").getByText("1 more").waitFor();
    const head = await p.locator(".top").evaluate((e) => e.getBoundingClientRect().height);
    equal(head < 740 / 4, true, `${head} pixels of head`);
    await p.locator("#views").getByRole("link", { name: "Live" }).click();
    await p.waitForFunction(() => document.body.dataset.view === "feed");
    equal(await p.locator("#views [aria-current]").evaluate((e) =>
        e.getBoundingClientRect().right <= innerWidth), true, "seen");
    await p.context().close();
});

await step("reader", async () => {
    const p = await tab(browser, base, faults);
    await p.goto(base + "/#/why");
    await token(p, tokens.reader);
    await p.locator("#notice").getByText("may only read").waitFor();
    equal(await p.locator("button.deed:disabled").first().getAttribute("title"),
        "Your token may only read", "why it is off");
    await p.context().close();
});

await step("nothing wrong", async () => equal(faults, [], "faults"));

await browser.close();

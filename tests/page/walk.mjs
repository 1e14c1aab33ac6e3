/*
 * walk - through the page as a person goes, on a relay that carries mail.
 *
 * Each step (steps.mjs) acts in the page and looks at the relay itself for what came of it. The
 * relay is loaded, and the walk started, by tests/peers/test_page.py.
 */
import { mkdirSync } from "node:fs";
import { go, launch, overflow, serious, tab, token, violations } from "./browser.mjs";
import { base, config, destination, mail, rows, tokens, until, waiting } from "./relay.mjs";
import { equal, holds, stepper, views } from "./steps.mjs";

const faults = [];
const browser = await launch();
const page = await tab(browser, base, faults);
/* no dialogue stays for the next step */
const step = stepper(browser, faults, () => page.keyboard.press("Escape"));

const press = (name, within = page) => within.getByRole("button", { name, exact: true }).click();
const answer = (name) => press(name, page.getByRole("dialog"));
const said = (pattern) => page.locator("#said").getByText(pattern).waitFor();
const tile = (name) => page.locator(`article[data-key="${name}"]`);
const states = async (domain) => (await waiting({ domain,
    state: "deferred,held,active,ready" })).map((m) => m.state);

/* A cell of the heat map's row leads to the list below. */
async function pick(domain) {
    await go(page, base, "queue");
    /* the relay draws the map anew when somebody looks, but not all the time */
    await page.getByRole("button", { name: new RegExp(`^${domain}, all `) })
        .click({ timeout: 30000 });
    await page.locator(".panel tbody tr").first().waitFor();
    return page.locator(".panel");
}

/* --- the way in --- */

const isIn = await step("token", async () => {
    await page.goto(base + "/");
    await token(page, "wp_this_is_no_token");
    await page.getByText("did not take the token").waitFor();
    await token(page, tokens.operator);
    await page.locator("svg.river").waitFor();
    equal(await page.evaluate(() => [sessionStorage.length, localStorage.length, document.cookie]),
        [1, 0, ""], "where the token is kept");
    await page.reload();
    await page.locator("svg.river").waitFor();
    equal(await page.getByRole("dialog").count(), 0, "asked again");
});

if (!isIn) {
    await browser.close();
    process.exit(0);
}

await step("headline", async () => {
    await page.locator("#host").getByText("relay.test").waitFor();
    await page.getByText(/up for \d+ (s|min)/).waitFor();
    await go(page, base, "queue");
    await page.locator("#alarm").getByText(/is (down|suspended), \d+ wait/).first().waitFor();
    /* the first view tells of it itself, with the button that helps */
    await go(page, base, "flow");
    const need = page.locator(".need").filter({ hasText: /is down, 11\d wait/ });
    await need.waitFor();
    await need.locator(".last").getByText(/connection refused/).waitFor();
    await need.getByRole("button", { name: /^Retry/ }).waitFor();
    equal(await page.locator("#alarm a:visible").count(), 0, "told twice");
    await page.locator(".need").filter({ hasText: "2 messages are held" })
        .getByRole("link").click();
    await page.locator(".panel tbody tr").first().waitFor();
    equal(await page.locator(".panel tbody tr").count(), 2, "the held ones");
});

/* --- the seven views --- */

await step("flow", async () => {
    await go(page, base, "flow");
    await page.locator("svg.river").waitFor();
    const label = () => page.locator("svg.river").getAttribute("aria-label");
    await until(async () => /[\d.,]+ accepted, .* [\d,]+ waiting, 2 held/.test(await label()),
        "the figures of the queue");
    /* the hour is as wide as its station, whatever is known of it */
    /* asked in one call: each second the picture is drawn anew */
    holds(await page.evaluate(() => {
        const all = [...document.querySelectorAll(".spark")];
        return all.length === 7 && all.every((g) => {
            const card = g.parentNode.querySelector(".card").getBBox();
            return g.getBBox().width > 0.8 * card.width && g.querySelector(".gap");
        });
    }), "sparklines are wide, and dots stand for what was before the start");
    await page.getByText("The same as a table").click();
    equal(await page.locator("main tbody tr").count(), 8, "rows of the table");
    await page.getByText("waypost top", { exact: true }).waitFor();
    /* a tick a second moves the figures */
    await mail("a@from.test", "r@up.test");
    await until(async () => !/^Mail per second: 0 accepted/.test(
        await label()), "a tick with mail", 15000);
});

await step("a message that has gone", async () => {
    const [gone] = await until(async () => {
        const found = await rows("/api/v1/history", { to: "r@up.test", state: "delivered" });
        return found.length ? found : null;
    }, "history");
    await go(page, base, "message/" + gone.queue_id);
    await page.getByRole("heading", { name: "delivered: r@up.test" }).waitFor();
    await page.getByText("waypost history --id " + gone.queue_id).waitFor();
    equal(await page.getByRole("button", { name: "Retry" }).count(), 0, "buttons");
});

await step("why", async () => {
    await go(page, base, "why");
    await page.getByRole("searchbox").fill("down.test");
    await press("Find out");
    await page.locator(".verdict.bad").waitFor();
    const stages = await page.locator(".stage .name").allInnerTexts();
    holds(stages.includes("route") && stages.includes("connect"), stages.join());
    await page.getByRole("searchbox").fill("up.test");
    await press("Find out");
    await page.locator(".verdict.ok").waitFor();
    await page.getByText("waypost dest probe up.test").waitFor();
});

await step("offline", async () => {
    await go(page, base, "offline");
    await tile("pickup:branch").getByText(/^2, \d+ bytes/).waitFor();
    await tile("pickup:branch").getByRole("button", { name: /^Release/ }).click();
    await until(async () => (await states("branch.test")).length === 0, "fetched");
    await page.getByText("waypost dest list 'pickup:*'").waitFor();
    await tile("isp").getByRole("button", { name: /^Fetch now/ }).click();
    await page.locator("#said p").getByText(/^Not done: isp/).waitFor({ timeout: 30000 });
    holds((await rows("/api/v1/fetches"))[0].ok === false, "the fetch was tried");
});

await step("feed", async () => {
    await go(page, base, "feed");
    await page.getByText(/^live/).waitFor();
    await mail("feed1@from.test", "r@up.test");
    await page.locator(".event").getByText("feed1@from.test").first().waitFor();
    await press("Pause");
    await mail("feed2@from.test", "r@up.test");
    await page.getByText(/[1-9]\d* passed over while paused/).waitFor();
    equal(await page.locator(".event").getByText("feed2@from.test").count(), 0, "while paused");
    await press("Go on");
    await page.getByRole("searchbox").fill("feed4");
    await press("Filter");
    await page.getByText(/^live/).waitFor();
    await page.getByText("waypost follow --match feed4").waitFor();
    await new Promise((done) => setTimeout(done, 500));
    await mail("feed3@from.test", "r@up.test");
    await mail("feed4@from.test", "r@up.test");
    await page.locator(".event").getByText("feed4@from.test").first().waitFor();
    equal(await page.locator(".event").getByText("feed3@from.test").count(), 0, "filtered");
    await page.locator(".health").getByText("no <i>thanks</i>").waitFor();
    await page.locator(".health").getByText("write-ahead log").waitFor();
    await page.locator(".health").getByText(/\d+ days/).waitFor();
});

await step("theme switch", async () => {
    const ink = () => page.evaluate(() => getComputedStyle(document.body).color);
    await go(page, base, "flow");
    await press("Theme: system");
    await press("Theme: light");
    const dark = await ink();
    await page.reload();
    await page.getByRole("button", { name: "Theme: dark" }).waitFor();
    equal(await ink(), dark, "kept");
    await press("Theme: dark");
    holds(await ink() !== dark, "back to the system's");
});

await step("no answer", async () => {
    await page.context().setOffline(true);
    await page.locator("#alarm").getByText(/does not answer/).waitFor({ timeout: 30000 });
    await page.context().setOffline(false);
    await page.locator("#alarm").getByText(/does not answer/).waitFor({ state: "detached",
        timeout: 30000 });
    /* the browser itself tells of requests that could not be made */
    faults.splice(0, faults.length, ...faults.filter((f) => !/ERR_INTERNET_DISCONNECTED/.test(f)));
});

/* who may only look */
await step("reader", async () => {
    const other = await tab(browser, base, faults);
    await other.goto(base + "/#/destinations");
    await token(other, tokens.reader);
    await other.getByText("Your token may only read").waitFor();
    await other.locator("article").first().waitFor();
    const buttons = other.locator("button.deed");
    holds(await buttons.count() > 0, "buttons");
    equal(await buttons.evaluateAll((all) => all.filter((b) => !b.disabled).length), 0, "on");
    await other.context().close();
});

await step("heat", async () => {
    const panel = await pick("evil.test");
    equal(await panel.locator("tbody tr").count(), 3, "messages listed");
    const text = await panel.innerText();
    holds(text.includes("<script>"), "markup is shown as text: " + text);
    holds(/\\x1B|\\u\{202E\}/.test(text), "control characters are shown as escapes: " + text);
    holds(!/[\u0000-\u0008\u001b\u202a-\u202e\u2066-\u2069]/.test(text), "nothing hidden");
    await panel.getByText("waypost queue list --domain evil.test").waitFor();
    await page.getByText("waypost queue shape", { exact: true }).waitFor();
    await page.locator('[role="gridcell"] button').first().click();
    await page.locator(".panel h3").getByText(/younger than|old/).waitFor();
});

await step("hold and release", async () => {
    let panel = await pick("evil.test");
    await press("Hold", panel);
    await page.getByRole("dialog").getByText("3 messages, 3 recipients").waitFor();
    await answer("Cancel");
    equal((await states("evil.test")).includes("held"), false, "cancelled");
    await press("Hold", panel);
    await answer("Hold");
    await said(/3 messages held/);
    equal(await states("evil.test"), ["held", "held", "held"], "states");
    panel = await pick("evil.test");
    await press("Release", panel);
    await answer("Release");
    await said(/3 messages released/);
    holds(!(await states("evil.test")).includes("held"), "released");
});

await step("retry", async () => {
    const before = (await waiting({ domain: "evil.test" }))[0].recipients[0].attempts;
    const panel = await pick("evil.test");
    await press("Retry", panel);
    await answer("Retry");
    await said(/due now/);
    await until(async () => (await waiting({ domain: "evil.test" }))
        .some((m) => m.recipients[0].attempts > before), "another attempt");
});

await step("delete and bring back", async () => {
    const panel = await pick("evil.test");
    await press("Delete", panel);
    await page.getByRole("dialog").getByText(/brought back for a day/).waitFor();
    await answer("Delete");
    await said(/3 messages deleted/);
    equal(await states("evil.test"), [], "gone");
    await press("Bring back", page.locator("#said"));
    await answer("Bring back");
    await said(/3 messages brought back/);
    equal((await states("evil.test")).length, 3, "back");
    await go(page, base, "queue");
    await press("deleted, for a day");
    await page.locator(".panel").getByRole("button", { name: "Bring back" }).waitFor();
});

await step("bounce", async () => {
    const panel = await pick("bounce.test");
    await press("Bounce", panel);
    await page.getByLabel("Reason").fill("");
    await answer("Bounce");
    await page.getByText("Reason is needed.").waitFor();
    await page.getByLabel("Reason").fill("no such branch any more");
    await answer("Bounce");
    await said(/returned to their senders/);
    await until(async () => (await states("bounce.test")).length === 0, "the queue without it");
    const report = await until(async () => (await waiting({ from: "<>", domain: "from.test" }))[0],
        "a report");
    holds(report.sender === "MAILER-DAEMON", "from whom the report is");
});

await step("move", async () => {
    const panel = await pick("dead.test");
    await press("Move", panel);
    await page.getByLabel("Route").selectOption("up.test");
    await answer("Move");
    await said(/1 message moved/);
    await until(async () => (await states("dead.test")).length === 0, "delivered elsewhere");
});

await step("destinations", async () => {
    const up = config.hops.up;
    const wide = page.locator(`article[data-key^="${up}"]`).first();
    await go(page, base, "destinations");
    await page.getByLabel("Name", { exact: true }).fill(up);
    await wide.waitFor();
    const name = await wide.getAttribute("data-key");
    await wide.getByRole("button", { name: "Suspend" }).click();
    await page.getByRole("dialog").getByLabel("Why").fill("disk <b>change</b>");
    await answer("Suspend");
    await said(/is suspended/);
    await until(async () => (await destination(up)).state === "suspended", "suspended");
    holds((await destination(up)).reason.includes("disk <b>change</b>"), "with the reason");
    await tile(name).getByText("Suspended: disk <b>change</b>").waitFor();
    await tile(name).getByRole("button", { name: "Resume" }).click();
    await said(/goes on/);
    await until(async () => (await destination(up)).state === "up", "up");
    await page.getByLabel("Name", { exact: true }).fill("");
    await page.getByLabel("State").selectOption("backing-off");
    await page.getByText("waypost dest list", { exact: true }).waitFor();
    holds(await page.locator("article").count() > 0, "those that are down");
});

await step("hold, retry and probe a destination", async () => {
    const down = (await destination(config.hops.down)).name;
    await go(page, base, "destinations");
    await tile(down).getByRole("button", { name: /^Hold/ }).click();
    await answer("Hold");
    await said(/messages held/);
    equal([...new Set(await states("down.test"))], ["held"], "held via");
    equal((await states("evil.test")).includes("held"), false, "others are not");
    await pick("down.test").then((panel) => press("Release", panel));
    await answer("Release");
    await said(/released/);
    await go(page, base, "destinations");
    const was = (await destination(down)).downs;
    await tile(down).getByRole("button", { name: /^Probe/ }).click();
    await said(/is being tried/);
    await until(async () => (await destination(down)).downs > was, "a probe");
    await tile(down).getByRole("button", { name: /^Retry/ }).click();
    await said(/is due now/);
    await until(async () => (await destination(down)).downs > was + 1, "a retry");
});

await step("message", async () => {
    await go(page, base, "message");
    await page.getByRole("searchbox").fill("evil@from.test");
    await press("Find");
    const link = page.locator("table.list tbody a").first();
    const id = await link.innerText();
    await link.click();
    await page.locator("h3").getByText(id).waitFor();
    await page.getByRole("heading", { name: "Received" }).waitFor();
    await page.getByRole("heading", { name: /Judged by rule/ }).waitFor();
    const attempt = page.locator(".timeline li").filter({ hasText: "Attempt" }).first();
    await attempt.getByText("The dialogue").click();
    const text = await attempt.locator("pre").innerText();
    holds(/> EHLO relay\.test/.test(text) && /< 250/.test(text), text);
    holds(text.includes("<script>") && !/[\u001b\u202e]/.test(text), text);
    await press("Hold");
    await answer("Hold");
    await until(async () => (await waiting({ id, state: "held" })).length === 1, "held");
    await press("Release");
    await answer("Release");
    await until(async () => (await waiting({ id, state: "held" })).length === 0, "released");
    await press("Show content");
    await page.locator("#content pre").getByText("<img src=x onerror=").waitFor();
    const content = await page.locator("#content pre").innerText();
    holds(/\\x1B\[2J \\u\{202E\} evil/.test(content), "escapes in the content: " + content);
    await press("Delete");
    await answer("Delete");
    await until(async () => (await waiting({ id, state: "deleted" })).length === 1, "deleted");
    await page.locator("main").getByRole("button", { name: "Bring back" }).click();
    await answer("Bring back");
    await until(async () => (await waiting({ id, state: "deleted" })).length === 0, "back");
});

/* --- by keyboard alone --- */

const key = (...names) => names.reduce((p, n) => p.then(() => page.keyboard.press(n)),
    Promise.resolve());
const focused = () => page.evaluate(() => document.activeElement?.innerText ||
    document.activeElement?.ariaLabel || document.activeElement?.tagName);

async function tabTo(pattern, most = 80) {
    for (let i = 0; i < most; i++) {
        await key("Tab");
        if (pattern.test(await focused()))
            return;
    }
    throw new Error(`Tab does not lead to ${pattern}, but to ${await focused()}`);
}

await step("keyboard", async () => {
    await go(page, base, "flow");
    await page.reload();
    await page.locator("svg.river").waitFor(); /* the page hears keys */
    await key("Tab");
    equal(await focused(), "Skip to the view", "first of all");
    await key("Enter");
    equal(await page.evaluate(() => document.activeElement.id), "main", "skipped");
    for (const [i, name] of views.entries()) {
        await page.evaluate(() => document.activeElement.blur());
        await key(String(i + 1));
        await page.waitForFunction((n) => location.hash === "#/" + n, name);
    }
    await page.evaluate(() => document.activeElement.blur());
    await key("2");
    await page.locator('[role="gridcell"] button').first().waitFor();
    await tabTo(/evil|down|susp|branch|from\.test/);
    await key("ArrowRight");
    holds(/^\d/.test(await focused()), "a cell: " + await focused());
    await key("Home");
    const first = await focused();
    await key("ArrowDown");
    holds(first !== await focused(), "another row");
    await key("ArrowUp", "Enter");
    await page.locator(".panel tbody tr").first().waitFor();
    await tabTo(/^Retry$/);
    await key("Enter");
    await page.getByRole("dialog").waitFor();
    await key("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    equal(await focused(), "Retry", "where focus is after Escape");
    await key("Tab");
    equal(await focused(), "Hold", "next");
    const domain = first.match(/[\w-]+\.test/)[0];
    await key("Enter");
    await page.getByRole("dialog").waitFor();
    equal(await page.evaluate(() => document.activeElement.id), "field-why", "why is asked first");
    await page.keyboard.type("it can wait");
    await key("Tab", "Tab", "Enter"); /* past Cancel */
    await said(/held/);
    holds((await states(domain)).every((s) => s === "held"), domain + " is held");
    await key("?");
    await page.getByRole("dialog").getByText("live feed").waitFor();
    await key("Escape");
});

await step("no trap", async () => {
    for (const view of views) {
        await go(page, base, view);
        await page.evaluate(() => document.activeElement.blur());
        let skip = 0;
        for (let i = 0; i < 150 && skip < 2; i++) {
            await key("Tab");
            skip += await page.evaluate(() =>
                document.activeElement.matches("a.skip")) ? 1 : 0;
        }
        holds(skip === 2, `Tab comes round in ${view}`);
    }
});

/* --- looks --- */

const deep = async () => ["flow", "queue", "destinations", "message/" +
    (await waiting({ domain: "evil.test", state: "deferred,held,active,ready" }))[0].queue_id,
    "why/down.test", "offline", "feed"];

async function prepare(p, view) {
    await go(p, base, view);
    if (view === "queue") {
        await p.getByRole("button", { name: /^evil.test, all / }).click();
        await p.locator(".panel tbody tr").first().waitFor();
    } else if (view.startsWith("why")) {
        await p.getByRole("button", { name: "Find out" }).click();
        await p.locator(".verdict.bad").waitFor();
    } else if (view.startsWith("message")) {
        await p.locator(".timeline li").first().waitFor();
    } else if (view === "feed") {
        await p.getByText(/^live/).waitFor();
        await mail("look@from.test", "r@up.test");
        await p.locator(".event").first().waitFor();
    } else {
        await p.locator("svg.river, article").first().waitFor();
    }
}

async function look(name, options) {
    const p = await tab(browser, base, faults, options);
    const found = [];

    await p.goto(base + "/");
    await token(p, tokens.operator);
    await p.locator("svg.river").waitFor();
    for (const view of await deep()) {
        const short = view.split("/")[0];
        await prepare(p, view);
        if (config.shots) {
            mkdirSync(config.shots, { recursive: true });
            await p.waitForTimeout(300);
            await p.screenshot({ path: `${config.shots}/${short}-${name}.png` });
        }
        found.push(...(await serious(p)).map((f) => `${short}: ${f}`),
                   ...(await overflow(p)).map((f) => `${short} sticks out: ${f}`),
                   ...(await violations(p)).map((f) => `${short}: policy: ${f}`));
    }
    await p.context().close();
    equal(found, [], "faults");
}

await step("light", () => look("light", { colorScheme: "light" }));
await step("dark", () => look("dark", { colorScheme: "dark" }));
await step("phone", () => look("phone", { colorScheme: "light", isMobile: true, hasTouch: true,
    viewport: { width: 360, height: 740 } }));

await step("nothing wrong", async () => {
    equal(await page.evaluate(() => window.pwned ?? null), null, "a stranger's script ran");
    equal([...faults, ...await violations(page)], [], "faults");
});

await browser.close();

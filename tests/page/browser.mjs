/*
 * browser - a Chromium that is watched: what it asks of whom, what it complains about.
 */
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(process.env.WAYPOST_NPM + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const PATIENCE = 30000;

/* A refused token and a message that is gone are answers, not faults of the page. */
const isAnswer = (text) => /Failed to load resource.* status of (401|403|404)/.test(text);

export async function launch() {
    return chromium.launch({
        executablePath: "/usr/bin/chromium", headless: true,
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               "--disable-background-networking", "--disable-component-update",
               "--disable-sync"],
    });
}

/* A tab of its own, with what went wrong in it gathered in `faults`. */
export async function tab(browser, base, faults, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 },
        reducedMotion: "reduce", ...options });
    const page = await context.newPage();
    const origin = new URL(base).origin;

    page.setDefaultTimeout(PATIENCE);
    await page.addInitScript(() => {
        window.violations = [];
        document.addEventListener("securitypolicyviolation", (e) =>
            window.violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
    });
    page.on("request", (r) => {
        if (new URL(r.url()).origin !== origin)
            faults.push("asked somebody else: " + r.url());
    });
    page.on("console", (m) => {
        if (m.type() === "error" && !isAnswer(m.text()))
            faults.push("console: " + m.text());
    });
    page.on("pageerror", (e) => faults.push("script: " + e.message));
    return page;
}

export async function token(page, text) {
    await page.locator("#field-token").fill(text);
    await page.getByRole("button", { name: "Go on" }).click();
}

/* To a view, with nothing left of what was there before. */
export async function go(page, base, where) {
    await page.goto("about:blank");
    await page.goto(base + "/#/" + where);
    await page.locator("main h2").waitFor();
}

/* What axe finds serious or critical. */
export async function serious(page) {
    await page.evaluate(axe);
    return page.evaluate(async () => {
        const found = await window.axe.run(document, { resultTypes: ["violations"] });

        return found.violations.filter((v) => v.impact === "serious" || v.impact === "critical")
            .map((v) => `${v.id}: ${v.nodes[0].html.slice(0, 160)}`);
    });
}

/* What sticks out to the right. */
export async function overflow(page) {
    return page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth ? []
        : [...document.querySelectorAll("body *")].filter((e) =>
            e.getBoundingClientRect().right > window.innerWidth + 1)
            .map((e) => e.tagName + "." + e.className).slice(0, 5));
}

export async function violations(page) {
    return page.evaluate(() => window.violations);
}

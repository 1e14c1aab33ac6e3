/*
 * shots - each view of a staged relay (stage.py) as a picture: light, dark, on a phone, and,
 * where it is asked for, in greyscale, at twice the size of type and in forced colours.
 *
 * node shots.mjs FOLDER [WAY ...]; WAYPOST_PAGE is what stage.py says, WAYPOST_NPM where
 * playwright-core is; VIEWS names some of the views, WHOLE=1 shows them to their ends, ROLE=read
 * looks with a token that may only read, FILES=relay/page takes the page's files from the tree
 * instead of the program, for who works on them.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { go, launch, tab, token } from "./browser.mjs";
import { base, tokens, waiting } from "./relay.mjs";

const ways = {
    light: { colorScheme: "light" },
    dark: { colorScheme: "dark" },
    phone: { colorScheme: "light", isMobile: true, hasTouch: true,
             viewport: { width: 360, height: 740 } },
    "phone-dark": { colorScheme: "dark", isMobile: true, hasTouch: true,
             viewport: { width: 360, height: 740 } },
    grey: { colorScheme: "light" },
    forced: { forcedColors: "active" },
    large: { viewport: { width: 640, height: 450 }, deviceScaleFactor: 2 },
};
const [folder, ...wanted] = process.argv.slice(2);
const faults = [];
const browser = await launch();

/* One that was tried often tells most. */
async function message() {
    for (const domain of ["hosting.example", "bigmail.example", "partner.example.net", ""]) {
        const [found] = (await waiting({ domain, limit: 500 })).sort((a, b) =>
            b.recipients[0].attempts - a.recipients[0].attempts);
        if (found?.recipients[0].attempts > 1 || (found && !domain))
            return "message/" + found.queue_id;
    }
    return "message";
}

async function prepare(page, view) {
    await go(page, base, view);
    if (view === "queue") {
        const row = page.locator(".heatrow .link").first();
        if (await row.count())
            await row.click();
    } else if (view.startsWith("why")) {
        await page.getByRole("button", { name: "Find out" }).click();
        await page.locator(".verdict:not(:empty)").waitFor({ timeout: 60000 });
    }
    await page.waitForTimeout(view === "feed" ? 4000 : 1500);
    await page.evaluate(() => scrollTo(0, 0));
}

/* With the headers, the content policy above all, that the relay sends. */
async function fromTree(page) {
    const kinds = { js: "text/javascript", css: "text/css", svg: "image/svg+xml", "": "text/html" };

    await page.route(/^[^?#]*\/(|[a-z]+\.(js|css|svg))$/, async (route) => {
        const name = new URL(route.request().url()).pathname.slice(1);
        const path = `${process.env.FILES}/${name || "index.html"}`;
        const real = await route.fetch({ url: base + "/" });

        await route.fulfill({ status: existsSync(path) ? 200 : 404,
            headers: { ...real.headers(), "content-type": kinds[name.split(".")[1] ?? ""] },
            body: existsSync(path) ? readFileSync(path) : "" });
    });
}

mkdirSync(folder, { recursive: true });
const views = (process.env.VIEWS ?? "flow queue destinations message why offline feed").split(" ");
for (const way of wanted.length ? wanted : ["light", "dark", "phone"]) {
    const page = await tab(browser, base, faults,
        { viewport: { width: 1200, height: 760 }, ...ways[way] });

    if (process.env.FILES)
        await fromTree(page);
    if (way === "grey")
        await (await page.context().newCDPSession(page)).send(
            "Emulation.setEmulatedVisionDeficiency", { type: "achromatopsia" });
    await page.goto(base + "/");
    await token(page, process.env.ROLE ? tokens[process.env.ROLE] : tokens.operator);
    await page.locator("svg.river").waitFor();
    for (const view of views) {
        await prepare(page, view === "message" ? await message()
            : view === "why" ? "why/partner.example.net" : view);
        await page.screenshot({ path: `${folder}/${view}-${way}.png`,
                                fullPage: Boolean(process.env.WHOLE) });
    }
    await page.context().close();
}
await browser.close();
if (faults.length)
    console.error(faults.join("\n"));

/*
 * steps - what a walk through the page is made of.
 *
 * Each step prints one JSON object a line: {"step", "error": null or text, "late": the error is
 * only that a wait ran out, "ms"}. One that fails does not end the walk; a late one does, since
 * what follows would begin where it never came to.
 */
export const views = ["flow", "queue", "destinations", "message", "why", "offline", "feed"];

/* faults: what the page complained about, as tab() gathers it. tidy() clears up behind a step
 * that failed. The stepper answers whether all was well. */
export function stepper(browser, faults, tidy = async () => {}) {
    return async (name, run) => {
        const began = Date.now();
        let error = null, late = false;

        try {
            await run();
        } catch (e) {
            late = e.name === "TimeoutError" && faults.length === 0;
            await tidy();
            error = String(e.message).replace(/\x1b\[[0-9;]*m/g, "").slice(0, 1500);
        }
        process.stdout.write(JSON.stringify({ step: name, error, late,
            ms: Date.now() - began }) + "\n");
        if (late) {
            await browser.close();
            process.exit(0);
        }
        return !error;
    };
}

export function equal(got, want, what) {
    if (JSON.stringify(got) !== JSON.stringify(want))
        throw new Error(`${what}: ${JSON.stringify(got)} instead of ${JSON.stringify(want)}`);
}

export function holds(is, what) {
    if (!is)
        throw new Error("not so: " + what);
}

/*
 * look - a view that looks at the relay again and again.
 */
import { every } from "/api.js";
import { say } from "/dom.js";

/* Runs step(signal) as every() does, and at once after a change (see orders.js). What it fails
 * with is said in `fault`, until it succeeds. Answers how to end it. */
export function look(ms, fault, step) {
    const ask = every(ms, async (signal) => {
        try {
            await step(signal);
            say(fault, "");
        } catch (e) {
            if (!signal.aborted)
                say(fault, e.message);
            throw e;
        }
    });
    const again = () => ask.now();

    document.addEventListener("changed", again);
    return { now: ask.now, end: () => {
        ask.end();
        document.removeEventListener("changed", again);
    } };
}

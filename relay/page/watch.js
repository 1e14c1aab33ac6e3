/*
 * watch - the questions that are asked on every view, and who wants to hear the answers.
 *
 *   every 5 s: status -> system, the busiest destinations -> each ear({ status, system,
 *   list }), or ear({ fault }) when the relay does not answer
 */
import { every, get, lines } from "/api.js";

const BUSIEST = 100;
const ears = new Set();
let latest = null, asking = null;

/* Hears at once what is known, and then each answer; answers how to end it. */
export function onLook(ear) {
    ears.add(ear);
    if (latest)
        ear(latest);
    return () => ears.delete(ear);
}

/* What a part of the relay cannot tell now is left out, it does not stop the rest. */
async function orNull(promise) {
    return promise.catch(() => null);
}

async function look(signal) {
    try {
        const status = await get("/api/v1/status", null, signal);
        const [system, list] = await Promise.all([
            orNull(get("/api/v1/system", null, signal)),
            orNull(lines("/api/v1/destinations", { busiest: BUSIEST }, signal))]);

        latest = { status, system, list };
    } catch (e) {
        if (signal.aborted)
            return;
        latest = { ...latest, fault: e.message + (e.status ? "" : "; what you see may be old") };
    }
    if (!signal.aborted)
        ears.forEach((ear) => ear(latest));
}

export function watch() {
    asking ??= every(5000, look);
    document.addEventListener("changed", () => asking.now());
}

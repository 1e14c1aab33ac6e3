/*
 * theme - light or dark as it was chosen, before the first picture is drawn.
 *
 * Not a module: those run after the page was drawn once. What the system prefers holds
 * until somebody chooses.
 */
"use strict";

(function () {
    try {
        const chosen = localStorage.getItem("waypost.theme");

        if (chosen === "light" || chosen === "dark")
            document.documentElement.dataset.theme = chosen;
    } catch {
        /* storage may be forbidden; the system's choice is good too */
    }
})();

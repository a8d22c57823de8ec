"use strict";
// Takes the half of the session that is no cookie to where only this origin, port included, can read it.
(() => {
  const half = document.getElementById("half");
  try {
    sessionStorage.setItem("valetkey.half", half.dataset.half);
    // Replaces the one-time link in the history.
    location.replace("/");
  } catch {
    half.textContent = "This browser keeps nothing for pages: allow it to store data for 127.0.0.1.";
  }
})();

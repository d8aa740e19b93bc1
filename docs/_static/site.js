// A table that is wider than the page scrolls in its box, with the keyboard too.
addEventListener("load", () => {
  for (const box of document.querySelectorAll(".table-wrapper")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});

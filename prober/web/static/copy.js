// Buttons that copy their text.
document.addEventListener("click", ({ target }) => {
  const button = target.closest("button[data-copy]");
  if (button) navigator.clipboard.writeText(button.dataset.copy).then(() => { button.textContent = "Copied"; });
});

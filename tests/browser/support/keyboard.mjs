// Moving about with Tab and Shift+Tab, with a look at every stop on the way.

import assert from "node:assert/strict";

/** More stops than any page has. */
const FAR = 40;

/** The focus comes with the page, in milliseconds; only a broken page takes them. */
const PATIENCE = 5000;

/** Waits until it has the focus. */
export async function hasFocus(page, target) {
  await target.and(page.locator(":focus")).waitFor({ timeout: PATIENCE });
}

/** Presses Tab (or Shift+Tab) until `target` has the focus, and looks at every stop on the way. */
export async function tabTo(page, target, key = "Tab") {
  await target.waitFor();
  let before = await stop(page);
  for (let presses = 0; presses < FAR; presses++) {
    await page.keyboard.press(key);
    const here = await stop(page);
    assert.ok(here, `${key} left the page before it came to ${target}`);
    assert.deepEqual(here.problems, [], `${here.name} has the focus at ${page.url()}`);
    if (before) inOrder(...(key === "Tab" ? [before, here] : [here, before]), page.url());
    before = here;
    if (await target.evaluate((element) => element === document.activeElement)) return;
  }
  assert.fail(`${target} is not reached by ${key}`);
}

function inOrder(first, second, url) {
  const words = `${first.name} comes before ${second.name}, and stands after it, at ${url}`;
  assert.ok(follows(first.box, second.box), words);
}

/** Whether people who read lines from left to right meet the second after the first. */
function follows(first, second) {
  const isRight = second.left >= first.right - 1;
  const isAbove = second.bottom <= first.top + 1;
  const isLeftOnItsLine = second.right <= first.left + 1 && second.top < first.bottom - 1;
  // Up and to the right is the next column.
  return isAbove ? isRight : !isLeftOnItsLine;
}

/** What has the focus: its name, its place on the page, and what keeps people from seeing it. */
function stop(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body || element === document.documentElement) return null;
    const problems = [];
    const style = getComputedStyle(element);
    const isDrawn = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    const isClear = /rgba\(.*, 0\)|\/ 0\)/.test(style.outlineColor);
    if (!element.matches(":focus-visible") || !isDrawn || isClear) problems.push("no visible focus");
    // A link that wraps has several boxes, and the middle of them all may lie beside it.
    const box = element.getClientRects()[0] ?? element.getBoundingClientRect();
    const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    const seen = document.elementFromPoint(x, y);
    if (!seen) problems.push("outside the window");
    else if (!element.contains(seen) && !seen.contains(element)) problems.push("covered");
    const all = element.getBoundingClientRect();
    return {
      name: `<${element.localName}> "${(element.textContent.trim() || element.name).slice(0, 40)}"`,
      box: {
        left: all.left + scrollX,
        right: all.right + scrollX,
        top: all.top + scrollY,
        bottom: all.bottom + scrollY,
      },
      problems,
    };
  });
}

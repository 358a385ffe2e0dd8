import run from 'axe-core';

/** What an accessibility check finds, as short lines. Contrast is measured on the tokens. */
export async function axe(element: Element): Promise<string[]> {
  const { violations } = await run.run(element, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'],
    rules: { 'color-contrast': { enabled: false } },
  });
  return violations.flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.html}`));
}

/**
 * Makes characters visible that would let a text look like another one: controls, and those that
 * turn the direction of writing around or have no width. A command is judged by what one sees.
 */
const HIDDEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Variation_Selector}]/gu;

export const visible = (text: string) =>
  text.replace(HIDDEN, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`;
  });

/**
 * Characters that a reader does not see, or that change how other characters are shown: controls, direction marks,
 * zero-width characters, line and paragraph separators, tags, variation selectors, private use, lone surrogates,
 * noncharacters. Emoji that are joined of several are shown in parts.
 */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/gu;

/**
 * Text from outside with its invisible characters written out, as `\u{202e}`: it cannot forge log lines, write to a
 * terminal, or look like other text.
 */
export function escapeInvisible(text: string): string {
  return text.replace(INVISIBLE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

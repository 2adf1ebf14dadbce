import { GatewayError } from '../errors.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Parses a JSON body; an empty one is `undefined`.
 *
 * @throws {GatewayError} INVALID_REQUEST with the position of the mistake, but none of the text, which may contain a
 * stream key
 */
export function parseJson(body: Buffer): unknown {
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    throw new GatewayError('INVALID_REQUEST', 'The body is not UTF-8.');
  }
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    const position = /at position \d+(?: \(line \d+ column \d+\))?/.exec((error as Error).message)?.[0] ?? 'at its end';
    throw new GatewayError(
      'INVALID_REQUEST',
      `The body is not valid JSON: there is a mistake ${position}. Names and texts need double quotes, and the ` +
        'last field has no comma after it.',
    );
  }
}

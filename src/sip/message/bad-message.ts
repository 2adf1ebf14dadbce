/** A message, or a part of one, that is not valid. Thrown by the parsers only, and caught where bytes enter. */
export class BadMessage extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'BadMessage';
  }
}

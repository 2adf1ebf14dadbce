const PLAIN = /^[\w.-]{1,64}$/;

/** The id that a client gives to a request, if it can be logged as it is. */
export const plainRequestId = (id: unknown): string | undefined =>
  typeof id === 'string' && PLAIN.test(id) ? id : undefined;

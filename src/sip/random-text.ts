import { randomBytes } from 'node:crypto';

/** 96 bits, which nobody can guess: for branches, tags, Call-IDs and the user part of a Contact. */
export const randomText = (): string => randomBytes(12).toString('hex');

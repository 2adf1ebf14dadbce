import { statfs } from 'node:fs/promises';

/** Free bytes for the gateway's user. */
export async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

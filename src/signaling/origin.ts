import type { Settings } from '../config/schema.ts';
import { isLoopback } from '../net/loopback.ts';
import { isOwnPage } from '../net/page-origin.ts';

/** Whether a page of this origin may open the WebSocket. Programs send no origin. */
export type OriginCheck = (origin: string | undefined) => boolean;

/**
 * On loopback, pages of this machine and those of `cors_origins` may connect: the browser runs on this machine too, and
 * with it every web page. A gateway that listens beyond loopback accepts every page, as WCS does.
 */
export function createOriginCheck(
  settings: Pick<Settings, 'listen_ip' | 'allow_anonymous' | 'cors_origins'>,
): OriginCheck {
  if (!isLoopback(settings.listen_ip) || settings.allow_anonymous || settings.cors_origins.includes('*'))
    return () => true;
  const listed = new Set(settings.cors_origins.map((origin) => origin.toLowerCase()));
  return (origin) => origin === undefined || listed.has(origin.toLowerCase()) || isOwnPage(origin);
}

import type { Settings } from '../../config/schema.ts';

/**
 * `Link` headers with the STUN and TURN servers for a client (RFC 9725, 4.6). The settings allow only URLs of RFC 7064
 * and 7065 and credentials without quotes, so nothing needs escaping.
 */
export function iceServerLinks(servers: Settings['ice_servers']): string[] {
  return servers.map(({ url, username, credential }) => {
    const login =
      username === undefined ? '' : `; username="${username}"; credential="${credential}"; credential-type="password"`;
    return `<${url}>; rel="ice-server"${login}`;
  });
}

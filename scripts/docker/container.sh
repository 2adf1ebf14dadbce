#!/bin/bash
# Start and health check of the image, with nothing but bash and sed. Usage: container.sh start|health

# A setting as the gateway reads it: environment variables come before the settings file.
setting() {
  local variable="$1" key="$2" file="${GATEWAY_CONFIG:-config/gateway.properties}"
  if [[ -n "${!variable}" ]]; then
    echo "${!variable}"
  elif [[ -r "$file" ]]; then
    sed -nE "s/^[[:space:]]*${key}[[:space:]]*[=:][[:space:]]*([^[:space:]]+).*/\1/p" "$file"
  fi
}

start() {
  case "$(setting LISTEN_IP listen_ip)" in
    '' | 127.* | ::1 | localhost)
      echo 'LISTEN_IP is a loopback address: ports published with -p do not reach the gateway. Use LISTEN_IP=0.0.0.0.' >&2
      ;;
    *)
      if [[ -z "$(setting REST_API_KEY rest_api_key)$(setting REST_API_READ_KEY rest_api_read_key)" &&
        -z "$(setting JWT_SECRET jwt_secret)$(setting JWT_PUBLIC_KEY jwt_public_key)$(setting JWT_JWKS_URL jwt_jwks_url)" &&
        -z "$(setting AUTH_URL auth_url)" && "$(setting ALLOW_ANONYMOUS allow_anonymous)" != true ]]; then
        echo 'Set REST_API_KEY=KEY, or ALLOW_ANONYMOUS=true if everybody may control the gateway: docker run -e REST_API_KEY=KEY …' >&2
        exit 2
      fi
      ;;
  esac
  exec node src/main.ts
}

# Succeeds if GET /health/live answers 200 on the configured address.
health() {
  local host port status
  port="$(setting HTTP_PORT 'http\.port')"
  host="$(setting LISTEN_IP listen_ip)"
  case "$host" in '' | 0.0.0.0 | ::) host=127.0.0.1 ;; esac
  exec 3<>"/dev/tcp/${host}/${port:-8081}" || exit 1
  printf 'GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
  read -r -t 2 _ status _ <&3
  [[ "$status" == 200 ]]
}

case "$1" in
  start) start ;;
  health) health ;;
  *)
    echo 'Usage: container.sh start|health' >&2
    exit 2
    ;;
esac

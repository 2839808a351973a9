declare module 'proxy-from-env' {
  /** Proxy for a URL by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; empty if there is none. */
  export function getProxyForUrl(url: string): string;
}

export type HostEnvironment = Readonly<Record<string, string | undefined>>;

/** Variables given by name only take the value that they have on the client; those that have none there stay a bare name. */
export function withHostValues(env: readonly string[], host: HostEnvironment): string[] {
  return env.map((text) => {
    const value = text.includes('=') ? undefined : host[text];
    return value === undefined ? text : `${text}=${value}`;
  });
}

/**
 * The environment for processes of ours that run Node. It reads these certificates at its start,
 * which takes 40 ms for a system's usual ones, and no process of ours speaks TLS.
 */
export function withoutCertificates(): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  return env;
}

/**
 * Packet and connection marks, known to the agent's sockets and to the parent's rules.
 *
 * All of them lie in seven bits that are free in the registry of mark users (github.com/fwmark):
 * Kubernetes, CNI, Cilium and Tailscale have bits 0 to 23, Calico takes its own from bit 16 up.
 * Rules compare and set these bits alone, so that the marks of others on a packet survive.
 */

export const MARK_MASK = 0x7f000000;

/** SO_MARK of the agent's sockets that bear a client's address. */
export const OUT_MARK = 0x53000000;
/** On their connections, and on the replies that come in from a container. */
export const CT_MARK = 0x54000000;
/** On the same connections' packets over lo: the sockets of servers there take it from the SYN. */
export const LOCAL_MARK = 0x55000000;

/**
 * Sources of the echo requests that find out whether foreign addresses come back from a container.
 * Nobody has them: the dummy address of RFC 7600, and one of the discard prefix of RFC 6666.
 */
export const CANARY_IPV4 = '192.0.0.8';
export const CANARY_IPV6 = '100::8';

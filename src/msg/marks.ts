/** Packet and connection marks, known to the agent's sockets and to the parent's rules. */

/** SO_MARK of the agent's sockets that bear a client's address. */
export const OUT_MARK = 0x534c4f55;
/** On their connections, and on the replies that are routed back to the agent. */
export const CT_MARK = 0x534c4354;
